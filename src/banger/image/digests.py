"""Digests of content, in the form of the OCI image specification. Pure."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Final

from banger.core.errors import Invalid, Unsupported

if TYPE_CHECKING:
    from hashlib import _Hash

_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")
_ANY_ALGORITHM: Final = re.compile(r"[a-z0-9]+(?:[.+_-][a-z0-9]+)*:[a-zA-Z0-9=_-]{1,256}")
_HINT: Final = "a digest is sha256: and 64 hexadecimal digits in lower case"


def parse_digest(text: str) -> str:
    """Return `text` if it is a sha256 or sha512 digest: only then may it become part of a path or a URL.

    Raises `Unsupported` for another algorithm, `Invalid` for anything else.
    """
    if _DIGEST.fullmatch(text) is not None:
        return text
    if _ANY_ALGORITHM.fullmatch(text) is not None and text.partition(":")[0] not in ("sha256", "sha512"):
        raise Unsupported(f"digests made by {text.partition(':')[0]} are not supported", hint=_HINT)
    raise Invalid(f"{ascii(text[:80])} is not a digest", hint=_HINT)


def new_hash(digest: str) -> _Hash:
    """A hash object that computes digests of the same algorithm as a parsed `digest`."""
    return hashlib.new(digest.partition(":")[0])


def compute_digest(content: bytes, *, like: str = "sha256:") -> str:
    """The digest of `content`, by the algorithm of the digest `like`."""
    algorithm = like.partition(":")[0]
    return f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}"


def shorten(digest: str) -> str:
    """The beginning of a digest, for messages."""
    return digest.partition(":")[2][:12]
