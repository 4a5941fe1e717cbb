"""Several catalogues together, with what is remembered of them on a real disk."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from tests.unit.catalogue.catalogues import ENTRY, NEW, NOW, OLD, catalogue

from banger.catalogue.memories import Memories
from banger.catalogue.shelf import Shelf
from banger.catalogue.signing import public_key, sign_catalogue
from banger.core.config.catalogues import CatalogueSource
from banger.core.errors import BangerError, Denied, Failed, NotFound, Unavailable
from banger.core.progress import Progress

URL = "https://example.org/catalogue.json"


class World:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.now: datetime = NOW
        self.answers: dict[str, bytes | BangerError] = {}
        self.fetched: list[str] = []
        self.told: list[str] = []

    async def fetch(self, url: str, *, limit_bytes: int) -> bytes:
        self.fetched.append(url)
        answer = self.answers[url]
        if isinstance(answer, BangerError):
            raise answer
        return answer

    def report(self, progress: Progress) -> None:
        self.told.append(progress.text)

    def shelf(self, *places: str) -> Shelf:
        key = str(public_key(OLD))
        return Shelf(
            [CatalogueSource(place, (key,)) for place in places],
            fetch=self.fetch,
            memories=Memories(self.root / "memories"),
            copies=self.root / "copies",
            now=lambda: self.now,
        )

    def write(self, name: str, text: bytes) -> str:
        (self.root / name).write_bytes(text)
        return str(self.root / name)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def signed(**changes: object) -> bytes:
    return sign_catalogue(catalogue(**changes), [OLD])


async def test_banger_s_own_names_come_first_and_need_nobody_else(world: World) -> None:
    entry = {**ENTRY, "name": "debian-bookworm"}
    world.answers[URL] = signed(entries=[entry])
    shelf = world.shelf(URL)
    found = await shelf.find("image", "debian-bookworm", "linux/amd64", world.report)
    assert found is not None
    assert (found.catalogue, found.signer) == ("banger", "")
    assert world.fetched == []
    listed, _ = await shelf.list("image", world.report)
    assert {one.catalogue for one in listed if one.entry.name == "debian-bookworm"} == {"banger"}


async def test_a_name_of_a_file_and_one_of_an_address(world: World) -> None:
    other = {**ENTRY, "name": "other"}
    place = world.write("a.json", signed())
    world.answers[URL] = signed(name="web", entries=[ENTRY, other])
    shelf = world.shelf(place, URL)
    found = await shelf.find("image", "tiny", "linux/amd64", world.report)
    assert found is not None
    assert (found.catalogue, found.signer) == ("team", public_key(OLD).id)
    assert world.fetched == []
    found = await shelf.find("image", "other", "linux/amd64", world.report)
    assert found is not None
    assert found.catalogue == "web"
    assert await shelf.find("image", "none", "linux/amd64", world.report) is None
    assert await shelf.find("image", "tiny", "linux/arm64", world.report) is None
    assert await shelf.find("kernel", "tiny", "linux/amd64", world.report) is None


async def test_one_that_is_not_believed_ends_the_search(world: World) -> None:
    bad = world.write("bad.json", sign_catalogue(catalogue(), [NEW]))
    good = world.write("good.json", signed(name="good"))
    shelf = world.shelf(bad, good)
    with pytest.raises(Denied, match=r"bad\.json is signed by none"):
        await shelf.find("image", "tiny", "linux/amd64", world.report)
    listed, opened = await shelf.list("image", world.report)
    assert "tiny" in [one.entry.name for one in listed]
    assert [one.problem is None for one in opened] == [False, True]


async def test_what_was_seen_last_stands_in_for_what_cannot_be_reached(world: World) -> None:
    world.answers[URL] = Unavailable("example.org cannot be reached")
    with pytest.raises(Unavailable):
        await world.shelf(URL).find("image", "tiny", "linux/amd64", world.report)
    world.answers[URL] = signed()
    assert await world.shelf(URL).find("image", "tiny", "linux/amd64", world.report)
    world.answers[URL] = Unavailable("example.org cannot be reached")
    assert await world.shelf(URL).find("image", "tiny", "linux/amd64", world.report)
    assert any("as it was seen last" in text for text in world.told)
    world.now += timedelta(days=365)
    with pytest.raises(Denied, match="expired"):
        await world.shelf(URL).find("image", "tiny", "linux/amd64", world.report)


async def test_an_older_one_is_refused_by_the_next_daemon_too(world: World) -> None:
    world.answers[URL] = signed(version=9)
    assert await world.shelf(URL).find("image", "tiny", "linux/amd64", world.report)
    world.answers[URL] = signed(version=8)
    with pytest.raises(Denied, match="version 9 was seen"):
        await world.shelf(URL).find("image", "tiny", "linux/amd64", world.report)
    world.answers[URL] = signed(version=10)
    assert await world.shelf(URL).find("image", "tiny", "linux/amd64", world.report)


@pytest.mark.parametrize(
    "damage", [b"", b"{}x", b'{"version": "9"}', b"\xff" * 10, b'{"version": 1, "keys": 5}', b"[" * 100_000]
)
async def test_a_damaged_memory_is_not_a_first_time(world: World, damage: bytes) -> None:
    world.answers[URL] = signed()
    await world.shelf(URL).find("image", "tiny", "linux/amd64", world.report)
    (memory,) = (world.root / "memories").iterdir()
    assert json.loads(memory.read_text())["version"] == 3
    assert memory.stat().st_mode & 0o777 == 0o600
    memory.write_bytes(damage)
    with pytest.raises(Failed, match="what was seen of") as caught:
        await world.shelf(URL).find("image", "tiny", "linux/amd64", world.report)
    assert str(memory) in caught.value.hint


@pytest.mark.parametrize(
    "make",
    [
        lambda path: None,
        lambda path: path.mkdir(),
        lambda path: __import__("os").mkfifo(path),
        lambda path: path.write_bytes(b" " * (9 << 20)),
        lambda path: path.symlink_to("/dev/zero"),
    ],
    ids=["nothing", "a directory", "a pipe", "too large", "an endless device"],
)
async def test_files_that_are_no_catalogue(world: World, make: Callable[[Path], None]) -> None:
    path = world.root / "c.json"
    make(path)
    with pytest.raises(BangerError) as caught:
        await world.shelf(str(path)).find("image", "tiny", "linux/amd64", world.report)
    assert (
        isinstance(caught.value, NotFound) or "regular file" in caught.value.summary or "larger" in caught.value.summary
    )
