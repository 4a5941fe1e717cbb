"""Catalogues as tests make them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

NOW = datetime(2026, 6, 1, tzinfo=UTC)
OLD, NEW, NEWER, STRANGER = (Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32) for number in range(1, 5))
BUNDLE = {"type": "bundle", "url": "https://example.org/tiny.tar.zst", "sha256": "a" * 64, "size": 1000}
ENTRY = {"name": "tiny", "kind": "image", "platform": "linux/amd64", "source": BUNDLE}


def catalogue(**changes: Any) -> bytes:
    document = {
        "schema": 1,
        "name": "team",
        "version": 3,
        "issued": "2026-01-01T00:00:00Z",
        "expires": "2027-01-01T00:00:00Z",
        "entries": [ENTRY],
        **changes,
    }
    return json.dumps(document).encode()
