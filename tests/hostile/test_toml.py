"""TOML of strangers, a repository's lock file or a recipe, that is small and asks for much."""

from __future__ import annotations

import tracemalloc

import pytest

from banger.core.errors import Invalid
from banger.core.lock_file import SIZE_LIMIT_BYTES, parse_lock
from banger.core.toml import KEY_PARTS_LIMIT, parse_toml
from banger.image.build_recipe import parse_recipe

PARTS = ["a.", "a . ", "'a'.", '"a".', '"a\\"b".', "a.'b'.", "[a.", "x = {a.", "x = [{a.", "a-1._._b.", "''.", '"".']


@pytest.mark.parametrize("part", PARTS)
def test_long_keys_do_not_fill_the_memory(part: str) -> None:
    """Each beginning of a key was remembered: of 16 KiB, 250 MB; of a whole lock file, 4 GB."""
    text = part + part.rpartition("[")[2].rpartition("{")[2] * (8192 // len(part)) + "a = 1\n"
    tracemalloc.start()
    try:
        with pytest.raises(Invalid, match="words between dots"):
            parse_lock(text.encode(), file="banger.lock")
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()
    with pytest.raises(Invalid, match="words between dots"):
        parse_recipe((text * 100).encode(), file="recipe.toml")


@pytest.mark.parametrize(
    "text",
    [
        "a" * SIZE_LIMIT_BYTES,
        "'" * SIZE_LIMIT_BYTES,
        "a." * 9 + "b" * 60_000,
        '"' + "\\" * 60_000,
        "a =" + "[" * 60_000,
    ],
)
def test_what_is_no_document_is_said_to_be_none(text: str) -> None:
    with pytest.raises(Invalid, match="is not a TOML document"):
        parse_lock(text.encode(), file="banger.lock")


def test_keys_as_people_write_them() -> None:
    key = ".".join("k" * KEY_PARTS_LIMIT)
    assert parse_toml(f"{key} = 'a.b.c'\nurl = 'https://a.b.c.example.com/1.2.3.4/x'\n")["url"]
