"""What a case about layers is made of."""

from __future__ import annotations

from dataclasses import dataclass

from tests.hostile.archives import directory, file, make_layer

from banger.core.layers import Layer


@dataclass(frozen=True)
class Handled:
    """The tree, in the words of `describe`."""

    layers: list[Layer]
    tree: str


@dataclass(frozen=True)
class Refused:
    """What the summary ends with, see `check_reason`."""

    layers: list[Layer]
    reason: str


def one(*members: bytes) -> list[Layer]:
    return [make_layer(*members)]


PASSWD = directory(b"etc") + file(b"etc/passwd", b"inside")
BASE = make_layer(PASSWD)
BASE_TREE = "etc/ etc/passwd=inside"


def over(*members: bytes, base: bytes = PASSWD) -> list[Layer]:
    return [make_layer(base), make_layer(*members)]
