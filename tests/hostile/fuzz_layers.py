"""`python -m tests.hostile.fuzz_layers [--count N] [--seed S]`: stacks of layers at random, against the model.

Each stack follows from seed and number alone. Some have their bytes damaged, and then any answer but a crash is right.
"""

from __future__ import annotations

import argparse
import io
import os
import random
import stat
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from typing import Final

from tests.erofs_reader import Found, read_erofs
from tests.hostile.archives import END, block, gzipped, make_blob, padded, pax, record, zstd
from tests.hostile.layer_model import Entry, Model, Refusal

from banger.core.errors import Invalid
from banger.core.layers import Layer
from banger.core.untrusted import printable
from banger.disk.erofs import write_erofs
from banger.disk.layers import read_layers
from banger.disk.paths import walk
from banger.disk.tree import Tree

COUNT: Final = 1_000_000
BATCH: Final = 1000
IMAGES: Final = 50  # every so many stacks one is written and read back
NAMES: Final = (b"a", b"b", b"c", b"d\xff", b"e")
TARGETS: Final = (
    b"a",
    b"b",
    b"/c",
    b"/a",
    b"a/b",
    b"..",
    b"../b",
    b"/a/b",
    b"missing/x",
    b"a/../../b/c",
    b"/",
    b"./c//",
)
KINDS: Final = (
    *("file", "directory") * 6,
    *("symlink", "whiteout") * 3,
    *("link", "opaque", "link"),
    *("fifo", "device"),
)
ODD: Final = (b"..", b"a/../b", b".wh.", b"a/.wh...", b".wh..wh.a", b".wh.a/b", b".", b"./a/", b"/b//c", b"a/.wh..")
TYPES: Final = {"file": b"0", "link": b"1", "symlink": b"2", "device": b"3", "directory": b"5", "fifo": b"6"}
MODES: Final = (0o755, 0o644, 0o4711, 0o700)


def make_stack(chance: random.Random) -> list[list[Entry]]:
    files = [b"c"]  # names that a hard link may well be to
    return [[make_entry(chance, files) for _ in range(chance.randint(0, 7))] for _ in range(chance.randint(1, 4))]


def make_entry(chance: random.Random, files: list[bytes]) -> Entry:
    kind = chance.choice(KINDS) if chance.random() > 0.01 else "odd"
    path = [chance.choice(NAMES[:2]) for _ in range(chance.choice((1, 1, 2, 3)))]
    if kind not in ("directory", "symlink") and chance.random() < 0.9:  # seldom below what is not a directory
        path[-1] = chance.choice(NAMES[2:])
    if kind in ("whiteout", "opaque"):
        path[-1] = b".wh." + path[-1] if kind == "whiteout" else b".wh..wh..opq"
        kind = chance.choice(("file", "file", "file", "directory", "link"))
    name = chance.choice((b"", b"", b"/", b"./")) + b"/".join(path)
    if kind == "odd":
        name = chance.choice(ODD)
        kind = "directory" if name.endswith(b"/") else chance.choice(("file", "directory", "symlink"))
    if kind == "link":
        content = chance.choice(files)
    elif kind == "symlink":
        content = chance.choice(TARGETS)
    else:
        content = b"%d" % chance.getrandbits(20) * chance.choice((0, 1, 1, 500, 1500)) if kind == "file" else b""
    if kind in ("file", "symlink"):
        files.append(b"/".join(path))
    return Entry(
        kind,
        name,
        content,
        mode=chance.choice(MODES),
        uid=chance.choice((0, 0, 1000)),
        mtime=chance.getrandbits(30),
        xattrs=((b"user.n", b"%d" % chance.getrandbits(8)),) if chance.random() < 0.1 else (),
    )


def encode(entry: Entry) -> bytes:
    is_link = entry.kind in ("link", "symlink")
    head = pax(*(record(b"SCHILY.xattr." + name, value) for name, value in entry.xattrs)) if entry.xattrs else b""
    member = block(
        entry.name,
        kind=TYPES[entry.kind],
        size=0 if is_link else len(entry.content),
        target=entry.content if is_link else b"",
        mode=b"%07o\0" % entry.mode,
        uid=b"%07o\0" % entry.uid,
        mtime=b"%011o\0" % entry.mtime,
        device=b"0000001\x000000003\0",
    )
    return head + member + (b"" if is_link else padded(entry.content))


def make_layer(chance: random.Random, entries: list[Entry], *, damaged: bool) -> Layer:
    archive = b"".join(map(encode, entries)) + chance.choice((END, END, b"", bytes(5120)))
    if damaged:
        archive = damage(chance, archive)
    blob = chance.choice((bytes, bytes, gzipped, zstd.compress))(archive)
    return make_blob(damage(chance, blob) if damaged and chance.random() < 0.3 else blob)


def damage(chance: random.Random, data: bytes) -> bytes:
    """Change some bytes, often in headers, whose checksums are put right again."""
    changed = bytearray(data)
    for _ in range(chance.randint(1, 2)):
        at = chance.randrange(len(changed)) if changed else 0
        changed[at : at + 1] = bytes([chance.choice((0, 0x2F, 0x30, 0x37, 0x80, 0xFF, chance.getrandbits(8)))])
        start = at // 512 * 512
        if chance.random() < 0.8 and len(changed) >= start + 512:
            total = sum(changed[start : start + 148]) + 256 + sum(changed[start + 156 : start + 512])
            changed[start + 148 : start + 156] = b"%06o\0 " % total
    return bytes(changed[: chance.randint(0, len(changed))] if chance.random() < 0.1 else changed)


def expect(stack: list[list[Entry]]) -> Model | Entry | None:
    """What the model makes of a stack: a tree, the entry that is refused, or None for a tree without anything."""
    model = Model()
    try:
        for layer in stack:
            model.apply(layer)
    except Refusal as refusal:
        return refusal.entry
    return model if len(model.things) > 1 else None


def check_stack(seed: int, number: int) -> str:
    """Try one stack; what came of it. Raises `AssertionError`, or whatever crashed."""
    chance = random.Random(f"{seed}/{number}")
    stack = make_stack(chance)
    damaged = number % 10 == 9
    layers = [make_layer(chance, entries, damaged=damaged) for entries in stack]
    tree = error = None
    try:
        tree = read_layers(layers, open_spool=io.BytesIO)
    except Invalid as refusal:
        error = refusal
    if error is not None:
        assert error.summary.isprintable()
        assert error.hint
    if damaged:
        return "damaged, read" if tree is not None else "damaged, refused"
    expected = expect(stack)
    if expected is None:
        assert error is not None
        assert error.summary == "the image is empty"
        return "empty"
    if isinstance(expected, Entry):
        assert error is not None, f"refused by the model: {expected}"
        assert f"the archive member {printable(expected.name)} " in error.summary, (expected, error.summary)
        return "refused"
    assert tree is not None, f"refused, but not by the model: {error}"
    compare(expected, tree)
    if number % IMAGES == 0:
        compare_image(tree)
        return "read, and read back"
    return "read"


def compare(model: Model, tree: Tree) -> None:
    expected = {b"/".join(path): thing for path, thing in model.things.items()}
    found = {path: (inode, tree.node(inode)) for path, inode in walk(tree)}
    assert found.keys() == expected.keys()
    inodes: dict[object, int] = {}
    for path, thing in expected.items():
        inode, node = found[path]
        kind = {
            stat.S_IFDIR: "directory",
            stat.S_IFREG: "file",
            stat.S_IFLNK: "symlink",
            stat.S_IFIFO: "fifo",
            stat.S_IFCHR: "device",
        }[stat.S_IFMT(node.mode)]
        content = node.body.read() if node.body is not None else node.target
        facts = (kind, content, stat.S_IMODE(node.mode), node.uid, node.mtime_s, tuple((node.xattrs or {}).items()))
        assert facts == (thing.kind, thing.content, thing.mode, thing.uid, thing.mtime, thing.xattrs), path
        assert inodes.setdefault(thing, inode) == inode, path
        assert thing.kind == "directory" or node.links == sum(other is thing for other in expected.values()), path
    assert len(set(inodes.values())) == len(inodes)


def compare_image(tree: Tree) -> None:
    with tempfile.TemporaryFile() as file:
        write_erofs(tree, file)
        file.seek(0)
        image = read_erofs(file.read())
    found = {path: tree.node(inode) for path, inode in walk(tree)}
    assert image.keys() == found.keys()
    for path, node in found.items():
        content = node.body.read() if node.body is not None else node.target
        links = node.links
        if node.is_directory:
            prefix = path + b"/" if path else b""
            below = [name[len(prefix) :] for name in found if name and name.startswith(prefix) and name != path]
            links = 2 + sum(b"/" not in name and found[prefix + name].is_directory for name in below)
        assert image[path] == Found(
            number=image[path].number,
            mode=node.mode,
            uid=node.uid,
            gid=node.gid,
            mtime_ns=node.mtime_s * 1_000_000_000 + node.mtime_ns,
            links=links,
            device=1 << 8 | 3 if stat.S_ISCHR(node.mode) else 0,
            xattrs=dict(node.xattrs or {}),
            content=content,
        ), path
    numbers = {inode: {image[path].number for path, other in walk(tree) if other == inode} for _, inode in walk(tree)}
    assert all(len(same) == 1 for same in numbers.values())


def check_batch(seed: int, first: int, count: int) -> Counter[str]:
    outcomes: Counter[str] = Counter()
    for number in range(first, first + count):
        try:
            outcomes[check_stack(seed, number)] += 1
        except Exception as error:
            raise AssertionError(f"stack {number} of seed {seed}: {type(error).__name__}: {error}") from error
    return outcomes


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.hostile.fuzz_layers")
    parser.add_argument("--count", type=int, default=COUNT)
    parser.add_argument("--seed", type=int, help="of all choices; another each time without it")
    options = parser.parse_args()
    seed = random.SystemRandom().getrandbits(32) if options.seed is None else options.seed
    print(f"{options.count} stacks, seed {seed}", flush=True)
    began_s = time.monotonic()
    outcomes: Counter[str] = Counter()
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        starts = range(0, options.count, BATCH)
        batches = [pool.submit(check_batch, seed, start, min(BATCH, options.count - start)) for start in starts]
        for done, batch in enumerate(batches, start=1):
            outcomes += batch.result()
            if sys.stderr.isatty():
                print(f"\r{min(done * BATCH, options.count)}", end="", file=sys.stderr)
    told = ", ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items()))
    print(f"{options.count} stacks in {time.monotonic() - began_s:.0f} s, 0 differences: {told}")


if __name__ == "__main__":
    main()
