"""Keys that sign catalogues: Ed25519 (RFC 8032), written `ed25519:` and the public key in base64. Pure.

`cryptography` is imported only where something is verified or signed: most daemons never do either.
"""

from __future__ import annotations

import binascii
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from banger.core.config.catalogues import KEY_PREFIX, parse_catalogue_key


@dataclass(frozen=True, slots=True)
class PublicKey:
    """The 32 bytes."""

    raw: bytes

    def __str__(self) -> str:
        return KEY_PREFIX + binascii.b2a_base64(self.raw, newline=False).decode()

    @property
    def id(self) -> str:
        """Enough to tell keys apart; a hint and no proof."""
        return hashlib.sha256(self.raw).hexdigest()[:16]

    def verifies(self, signature: bytes, message: bytes) -> bool:
        """Whether the owner of the key has signed exactly that message."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        try:
            Ed25519PublicKey.from_public_bytes(self.raw).verify(signature, message)
        except (InvalidSignature, ValueError):
            return False
        return True


def parse_keys(texts: Sequence[str]) -> tuple[PublicKey, ...]:
    """Keys out of their texts. Raises `Invalid`."""
    return tuple(PublicKey(parse_catalogue_key(text)) for text in texts)


def name_keys(keys: Sequence[PublicKey]) -> str:
    """The keys, for people."""
    return ", ".join(key.id for key in keys)
