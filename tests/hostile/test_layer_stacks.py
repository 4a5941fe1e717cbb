"""Stacks of layers at random: twenty thousand for every change, a million with `make fuzz-layers`."""

from __future__ import annotations

import io
import random
import subprocess
import sys
from pathlib import Path

import pytest
from tests.erofs_reader import read_erofs
from tests.hostile import fuzz_layers
from tests.hostile.archives import END, make_blob
from tests.hostile.layer_model import Entry
from tests.hostile.test_layers import describe
from tests.world import REPOSITORY

from banger.disk.layers import read_layers

SEED = 3
STACKS = 20_000
PARTS = 4


@pytest.mark.parametrize("part", range(PARTS))
def test_layers_make_what_the_model_says(part: int) -> None:
    count = STACKS // PARTS
    outcomes = fuzz_layers.check_batch(SEED, part * count, count)
    assert outcomes.total() == count
    assert min(outcomes[outcome] for outcome in ("read", "refused", "empty", "damaged, refused")) > count // 50


def test_it_does_not_matter_where_the_whiteouts_of_a_layer_stand() -> None:
    for number in range(500):
        chance = random.Random(number)
        lower, upper = ([entry for entry in layer if is_plain(entry)] for layer in make_two(chance))
        whiteouts = [entry for entry in upper if b".wh." in entry.name]
        others = [entry for entry in upper if b".wh." not in entry.name]
        mixed = list(others)
        for entry in whiteouts:
            mixed.insert(chance.randint(0, len(mixed)), entry)
        kept = Entry("file", b"kept", mode=0o644)
        trees = {describe_stack([[kept, *lower], order]) for order in (whiteouts + others, others + whiteouts, mixed)}
        assert len(trees) == 1, number


def is_plain(entry: Entry) -> bool:
    """Without links, and with files and directories under names of their own: such a stack is never refused."""
    name = entry.name.rpartition(b"/")[2].removeprefix(b".wh.")
    if entry.kind not in ("file", "directory", "fifo") or entry.name in fuzz_layers.ODD:
        return False
    return b".wh." in entry.name or (name in fuzz_layers.NAMES[:2]) == (entry.kind == "directory")


def make_two(chance: random.Random) -> list[list[Entry]]:
    files = [b"c"]
    return [[fuzz_layers.make_entry(chance, files) for _ in range(12)] for _ in range(2)]


def describe_stack(stack: list[list[Entry]]) -> str:
    layers = [make_blob(b"".join(map(fuzz_layers.encode, layer)) + END) for layer in stack]
    return describe(read_layers(layers, open_spool=io.BytesIO))


WRITE = """
import sys
from pathlib import Path
from tests.hostile.archives import directory, file, gzipped, hard_link, make_layer, pax, record, symlink
from banger.disk.rootfs import LayerTree

attributes = pax(record(b"SCHILY.xattr.user.b", b"2"), record(b"SCHILY.xattr.user.a", b"1"))
lower = [file(b"d%d/%d" % (n % 7, n), b"%d" % n * (n % 90)) for n in range(400)]
upper = [file(b"d3/.wh..wh..opq"), file(b"d3/new"), symlink(b"l", b"d1"), file(b"l/through", bytes(9000)), hard_link(b"d2/h", b"d1/1")]
layers = [make_layer(*lower, compress=gzipped), make_layer(attributes, *upper)]
tree = LayerTree(layers, scratch=Path(sys.argv[1]).parent, report=lambda done, whole: None)
tree.write_image(Path(sys.argv[1]), lambda done: None)
tree.close()
"""


def test_the_same_layers_make_the_same_bytes(tmp_path: Path) -> None:
    """In processes whose hashes, and so the places in all tables, differ."""
    images = set()
    for hash_seed in ("0", "1", "12345"):
        environment = {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": "src:."}
        command = [sys.executable, "-c", WRITE, str(tmp_path / hash_seed)]
        subprocess.run(command, cwd=REPOSITORY, env=environment, check=True)
        images.add((tmp_path / hash_seed).read_bytes())
    assert len(images) == 1
    assert len(read_erofs(images.pop())) == 355
