"""A layer of an image: the contract between those who fetch layers and those who read them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer of an image.

    `open` gives its bytes from the start; `size` and `digest` are of those bytes, as the manifest has them. `diff_id`
    is the digest of the archive in it, as the image's configuration has it, or None if nobody knows.
    """

    open: Callable[[], BinaryIO]
    media_type: str
    digest: str
    size: int
    diff_id: str | None
