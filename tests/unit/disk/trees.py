"""Trees at random, and what tells two of them apart."""

from __future__ import annotations

import io
import stat
import tempfile
from typing import Any

from hypothesis import strategies as st

from banger.disk.erofs import write_erofs
from banger.disk.layering import LayerMembers
from banger.disk.paths import walk
from banger.disk.tree import Body, Node, Tree

NAMES = st.binary(min_size=1, max_size=255).filter(
    lambda name: b"/" not in name and b"\0" not in name and name not in (b".", b"..") and not name.startswith(b".wh.")
) | st.sampled_from((b"a", b"b", b"n" * 200, b"a=b", b"%3D", b"new\nline"))
TARGETS = st.binary(min_size=1, max_size=300).filter(lambda target: b"\0" not in target)
XATTR_NAMES = st.sampled_from(
    (
        b"user.a",
        b"user.a=b",
        b"user.%3D",
        b"user.%25",
        b"user.%",
        b"trusted.x",
        b"security.capability",
        b"system.posix_acl_access",
        b"system.posix_acl_default",
    )
)
IDS = st.integers(0, 3000) | st.integers(0, 0xFFFF_FFFE)
SIZES = st.integers(0, 3000) | st.sampled_from((1984, 1985, 4095, 4096, 4097, 8192, 9000, 12_288))


@st.composite
def nodes(draw: st.DrawFn, *, on_disk: bool = False) -> Node:
    kind = draw(
        st.sampled_from(
            (stat.S_IFREG,) * 4 + (stat.S_IFDIR,) * 3 + (stat.S_IFLNK, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO)
        )
    )
    node = Node(
        mode=kind | (0o777 if kind == stat.S_IFLNK else draw(st.integers(0, 0o7777))),
        uid=draw(IDS),
        gid=draw(IDS),
        mtime_s=draw(
            # At the first and the last second of its range a file system cuts the fraction (timestamp_truncate).
            st.integers(-3, 3) | st.integers(1 - (1 << 31), 1 << 33) if on_disk else st.integers(-(1 << 40), 1 << 40)
        ),
        mtime_ns=draw(st.just(0) | st.integers(0, 999_999_999)),
        xattrs=draw(st.dictionaries(XATTR_NAMES, st.binary(max_size=60), max_size=4)) or None,
    )
    if on_disk:  # where the kernel looks what attributes are, and which file they belong to
        xattrs = (node.xattrs or {}) if kind in (stat.S_IFREG, stat.S_IFDIR) else {}
        node.xattrs = {
            name: value for name, value in xattrs.items() if name.startswith((b"user.", b"trusted."))
        } or None
    if kind == stat.S_IFREG:
        size = draw(SIZES)
        seed = draw(st.binary(min_size=1, max_size=8))
        content = (seed * (size // len(seed) + 1))[:size]
        node.body = Body(io.BytesIO(content), 0, size)
    elif kind == stat.S_IFLNK:
        node.target = draw(TARGETS)
    elif kind in (stat.S_IFCHR, stat.S_IFBLK):
        node.device = draw(st.tuples(st.integers(0, 0xFFF), st.integers(0, 0xFFFFF)))
    return node


@st.composite
def trees(draw: st.DrawFn, *, on_disk: bool = False) -> Tree:
    """Directories, files and further names of files; `on_disk` only what every disk can have."""
    tree = Tree()
    members = LayerMembers(tree, steps_limit=1 << 30)
    members.begin()
    root = draw(nodes(on_disk=on_disk).filter(lambda node: node.is_directory))
    members.put(b"", root)
    directories, files = [b""], list[bytes]()
    for _ in range(draw(st.integers(0, 25))):
        above = draw(st.sampled_from(directories))
        path = above + b"/" + draw(NAMES) if above else draw(NAMES)
        if path in directories or path in files:
            continue
        if files and draw(st.integers(0, 5)) == 0:
            members.link(path, draw(st.sampled_from(files)))
            files.append(path)
            continue
        node = draw(nodes(on_disk=on_disk))
        members.put(path, node)
        (directories if node.is_directory else files).append(path)
    return tree


def describe(tree: Tree) -> list[tuple[Any, ...]]:
    """Every name with all that is known of its inode; names of one inode share a number."""
    numbers: dict[int, int] = {}
    described = []
    for path, inode in walk(tree):
        node = tree.node(inode)
        described.append(
            (
                path,
                numbers.setdefault(inode, len(numbers)),
                node.mode,
                node.uid,
                node.gid,
                node.mtime_s,
                node.mtime_ns,
                dict(node.xattrs or {}),
                node.target,
                node.device,
                None if node.body is None else node.body.read(),
            )
        )
    return described


def write_bytes(tree: Tree) -> bytes:
    """The image of a tree."""
    with tempfile.TemporaryFile() as output:
        write_erofs(tree, output)
        output.seek(0)
        return output.read()
