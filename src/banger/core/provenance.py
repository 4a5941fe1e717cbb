"""Where an image or a kernel came from, as it is kept beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from banger.core.strict import read_dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """`kind` is that of the source: `distribution`, `oci`, `bundle`, `archive`, `files`, `vm` or `recipe`; empty where
    nobody knows.

    `reference` is a recipe, an address, a path or a VM; `digest` is of what was fetched from there, `sha256:...`, and
    `base` that of the image here that it was made on. `catalogue` has said so, and `signer` is who vouches for it: a
    key of the catalogue's, or an archive's keys.
    """

    kind: str = ""
    reference: str = ""
    digest: str = ""
    base: str = ""
    catalogue: str = ""
    signer: str = ""

    def encode(self) -> dict[str, str]:
        """The members that are known, for a manifest."""
        return {name: value for name, value in asdict(self).items() if value}


UNKNOWN = Provenance()


def decode_provenance(value: Mapping[str, Any]) -> Provenance:
    """Read what `encode` wrote; `UNKNOWN` if it is damaged."""
    try:
        return read_dataclass(Provenance, dict(value))
    except (ValueError, TypeError):
        return UNKNOWN
