"""Layers made to do harm, one by one."""

from __future__ import annotations

import io
import stat

import pytest
from tests.hostile.archive_cases import HOSTILE, check_reason
from tests.hostile.archives import make_blob
from tests.hostile.layer_case import Handled
from tests.hostile.layer_cases import CASES

from banger.core.errors import BangerError, Invalid, Unsupported
from banger.core.layers import Layer
from banger.disk.decompression import ExpansionLimits
from banger.disk.layers import LayerLimits, read_layers
from banger.disk.paths import walk
from banger.disk.tar import TarLimits
from banger.disk.tree import Tree

SMALL = LayerLimits(
    layers=12,
    nodes=50,
    metadata_bytes=8_000,
    steps=5_000,
    archive=TarLimits(headers=800, total_bytes=1 << 20, header_bytes=100_000),
    expansion=ExpansionLimits(free_bytes=600_000, ratio=20),
)
# What an archive may not do and a layer may, and what becomes of it.
OF_LAYERS = {
    "empty": "the image is empty",
    "no end mark": "file=",
    "cut before padding": "file=abc",
    "symlink then file through it": "etc/ etc/passwd= s>/etc",
    "symlink replaces a full directory": "d>/",
    "attribute of no namespace": "file=",
    "attribute without name": "file=",
    "gzip": "the layer is damaged|invalid stored block lengths",
    "zstd": "the layer is cut short",
    "pax too large": "an extended header of the archive is malformed",
    "too many headers": "file=",
}


def read(layers: list[Layer]) -> Tree:
    return read_layers(layers, open_spool=io.BytesIO, limits=SMALL)


def describe(tree: Tree) -> str:
    """Every name with its type and content, mode and owner where they are not the usual ones, and extended attributes."""
    words = []
    names: dict[int, str] = {}
    for path, inode in walk(tree):
        node = tree.node(inode)
        shown = "".join(chr(byte) if 0x20 < byte < 0x7F else f"\\x{byte:02x}" for byte in path)
        if not node.is_directory and inode in names:
            words.append(f"{shown}=={names[inode]}")
            continue
        names[inode] = shown
        mode, usual = (
            stat.S_IMODE(node.mode),
            {stat.S_IFDIR: 0o755, stat.S_IFLNK: 0o777}.get(stat.S_IFMT(node.mode), 0o644),
        )
        word = shown + (
            f"{{{','.join(f'{k.decode()}={v.hex()}' for k, v in node.xattrs.items())}}}" if node.xattrs else ""
        )
        if (node.uid, node.gid) != (0, 0):
            word += f"({node.uid}:{node.gid})"
        if mode != usual and not node.is_directory:
            word += f"{mode:o}"
        if node.is_directory:
            word += "/" + (f"{mode:o}" if mode != usual else "")
        elif node.is_symlink:
            word += f">{node.target.decode()}"
        elif node.is_regular:
            assert node.body is not None
            word += "=" + "".join(chr(byte) if 0x20 < byte < 0x7F else f"\\x{byte:02x}" for byte in node.body.read())
        else:
            kind = {stat.S_IFIFO: "fifo", stat.S_IFCHR: "char", stat.S_IFBLK: "block"}[stat.S_IFMT(node.mode)]
            word += f"|{kind}" + ("" if kind == "fifo" else "{}:{}".format(*node.device))
        words.append(word)
    return " ".join(words[1:] if words[0] == "/" else words)


@pytest.mark.parametrize("name", CASES)
def test_what_becomes_of_hostile_layers(name: str) -> None:
    case = CASES[name]
    if isinstance(case, Handled):
        assert describe(read(case.layers)) == case.tree
        return
    with pytest.raises((Invalid, Unsupported)) as caught:
        read(case.layers)
    check(caught.value, case.reason)
    if case.layers:
        assert caught.value.summary.startswith(("layer ", "the image "))


@pytest.mark.parametrize("name", HOSTILE)
def test_what_becomes_of_hostile_archives_as_layers(name: str) -> None:
    data, reason = HOSTILE[name]
    expected = OF_LAYERS.get(name, reason)
    try:
        tree = read([make_blob(data)])
    except Invalid as error:
        check(error, expected)
        assert name not in OF_LAYERS or "=" not in expected
    else:
        assert describe(tree) == expected


def test_there_are_enough_cases() -> None:
    assert len(CASES) + len(HOSTILE) > 250


def check(error: BangerError, reason: str) -> None:
    assert error.summary.isprintable()
    assert error.hint
    check_reason(error.summary, reason)
