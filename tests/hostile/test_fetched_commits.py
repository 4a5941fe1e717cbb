"""Commits that a hostile guest could send: refused, with no branch made and not an object put into the repository."""

from __future__ import annotations

import os
import re
import tracemalloc
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.contract.workspace_world import LocalGuest, Travel, travel
from tests.contract.workspace_world import git as guest_git
from tests.world import commit_all, git

from banger.core.errors import BangerError, Denied, Failed
from banger.workspace.branches import find_name_problem, parse_branches, plan_branch
from banger.workspace.fetching import Quarantine, fetch_quarantined, release
from banger.workspace.raw_diff import parse_raw_diff
from banger.workspace.repository import inspect_repository


@dataclass(slots=True)
class Trip:
    """A repository, its copy in a guest, and a place for what is fetched."""

    travel: Travel
    directory: Path

    @property
    def repository(self) -> Path:
        return self.travel.repository

    @property
    def copy(self) -> Path:
        return self.travel.copy

    async def fetch(self, guest: LocalGuest | None = None) -> Quarantine:
        repository = await inspect_repository(self.repository)
        quarantine = await fetch_quarantined(
            guest or self.travel.guest,
            guest_path=self.travel.packed.guest_path,
            vm="box",
            repository=repository,
            have=[commit for commit in (repository.head, self.travel.packed.head) if commit],
            directory=self.directory,
            force=False,
        )
        await release(repository, quarantine)
        return quarantine

    async def refuse(self, guest: LocalGuest | None = None) -> BangerError:
        before = self.state()
        with pytest.raises(BangerError) as caught:
            await self.fetch(guest)
        assert self.state() == before
        assert "\x1b" not in caught.value.summary
        assert caught.value.hint
        return caught.value

    def state(self) -> tuple[bytes, list[Path]]:
        return git(self.repository, "for-each-ref"), sorted((self.repository / ".git").rglob("*"))


@pytest.fixture
async def trip(tmp_path: Path) -> Trip:
    repository = tmp_path / "repository"
    repository.mkdir()
    git(repository, "init", "-q", "-b", "main")
    (repository / "notes.txt").write_text("one\n")
    commit_all(repository)
    return Trip(await travel(repository, tmp_path / "travel"), tmp_path / "quarantine")


def plant(trip: Trip, tree: str, *, parents: Sequence[str] = ("HEAD",)) -> str:
    """A commit of a tree in the guest."""
    words = [word for parent in parents for word in ("-p", parent)]
    return guest_git(trip.copy, "commit-tree", "-m", "planted", *words, tree).decode().strip()


def make_tree(trip: Trip, *entries: tuple[str, str, bytes]) -> str:
    """A tree object of mode, id and name, as they are: git itself would refuse to make some of them."""
    content = b"".join(f"{mode} ".encode() + name + b"\0" + bytes.fromhex(oid) for mode, oid, name in entries)
    made = guest_git(trip.copy, "hash-object", "--literally", "-t", "tree", "-w", "--stdin", stdin=content)
    return made.decode().strip()


def make_blob(trip: Trip, content: bytes = b"") -> str:
    return guest_git(trip.copy, "hash-object", "-w", "--stdin", stdin=content).decode().strip()


def below(trip: Trip, name: bytes) -> str:
    return make_tree(trip, ("40000", make_tree(trip, ("100644", make_blob(trip), b"config")), name))


def empty(trip: Trip, name: bytes, mode: str = "100644") -> str:
    return make_tree(trip, (mode, make_blob(trip), name))


def link(trip: Trip, target: bytes) -> str:
    return make_tree(trip, ("120000", make_blob(trip, target), b"link"))


DIRECTORIES = [
    *(b".git", b".GIT", b".Git", b".gIt", b"git~1", b"GIT~1", b"git~2", b".git ", b".git.", b".git...", b".git. ."),
    *(
        b".git::$INDEX_ALLOCATION",
        b".git:x",
        b".g\xe2\x80\x8cit",
        b".gi\xe2\x80\x8dt",
        b"\xef\xbb\xbf.git",
        b".git\xe2\x81\xaf",
    ),
    *(b".\xe2\x80\xaegit", b".git\\x", b"..", b".", b"..\\x", b"gi7eba~1", b"gi7d29~1"),
]
NAMES = [
    b".gitmodules",
    b".GITMODULES",
    b"gitmod~1",
    b".gitmodules ",
    b".gitmodules:x",
    b"a/b",
    b"",
    b"C:x",
    b"x" * 256,
]
LINKS = [
    b"/etc/passwd",
    b"..",
    b"../x",
    b"a/../../x",
    b".git/hooks",
    b".GIT",
    b"git~1",
    b"C:\\x",
    b"\\x",
    b"a/../x",
    b"",
    b"x" * 5000,
]
MODES = ["160000", "060000", "020000", "0100644", "777"]  # others git takes for 100644 or 100755


@pytest.mark.parametrize("later", [False, True], ids=["", "and taken away again"])
@pytest.mark.parametrize("name", DIRECTORIES)
async def test_directories_that_are_gits_or_lead_out(trip: Trip, name: bytes, later: bool) -> None:
    commit = plant(trip, below(trip, name))
    if later:
        commit = plant(trip, "HEAD^{tree}", parents=[commit])
    point(trip, commit)
    assert isinstance(await trip.refuse(), Denied)


@pytest.mark.parametrize("name", NAMES)
async def test_names_of_files(trip: Trip, name: bytes) -> None:
    point(trip, plant(trip, empty(trip, name)))
    assert isinstance(await trip.refuse(), Denied if name else Failed)  # git in the guest cannot pack it


@pytest.mark.parametrize("target", LINKS)
async def test_links_that_leave_the_tree(trip: Trip, target: bytes) -> None:
    point(trip, plant(trip, link(trip, target)))
    assert isinstance(await trip.refuse(), Denied)


@pytest.mark.parametrize("mode", MODES)
async def test_modes(trip: Trip, mode: str) -> None:
    point(trip, plant(trip, empty(trip, b"x", mode)))
    assert isinstance(await trip.refuse(), Denied)


async def test_a_name_that_is_there_twice(trip: Trip) -> None:
    blob, tree = make_blob(trip, b"../../.git/hooks"), empty(trip, b"x")
    point(trip, plant(trip, make_tree(trip, ("120000", blob, b"d"), ("40000", tree, b"d"))))
    assert isinstance(await trip.refuse(), Denied)


async def test_entries_out_of_order(trip: Trip) -> None:
    blob = make_blob(trip)
    point(trip, plant(trip, make_tree(trip, ("100644", blob, b"z"), ("100644", blob, b"a"))))
    assert isinstance(await trip.refuse(), Denied)


async def test_a_merge_that_brings_something_of_its_own(trip: Trip) -> None:
    one, two = plant(trip, "HEAD^{tree}"), plant(trip, empty(trip, b"good"))
    point(trip, plant(trip, below(trip, b".git"), parents=[one, two]))
    assert isinstance(await trip.refuse(), Denied)


@pytest.mark.parametrize(
    "header",
    [
        b"tree TREE\nauthor x\n\nx\n",
        b"tree TREE\nauthor A <a> 1 +0000\ncommitter A <a> 99999999999999999999 +0000\n\nx\n",
        b"tree TREE\nparent 1234\nauthor A <a> 1 +0000\ncommitter A <a> 1 +0000\n\nx\n",
        b"tree TREE\nauthor A <a> 1 +0000\ncommitter A\n\nx\n",
        b"author A <a> 1 +0000\ncommitter A <a> 1 +0000\n\nx\n",
        b"tree TREE\nauthor A <a\0> 1 +0000\ncommitter A <a> 1 +0000\n\nx\n",
    ],
)
async def test_malformed_commits(trip: Trip, header: bytes) -> None:
    tree = guest_git(trip.copy, "rev-parse", "HEAD^{tree}").strip()
    content = header.replace(b"TREE", tree)
    made = guest_git(trip.copy, "hash-object", "--literally", "-t", "commit", "-w", "--stdin", stdin=content)
    point(trip, made.decode().strip())
    await trip.refuse()


BRANCHES = [
    *(
        "a b",
        "-x",
        "x.lock",
        ".git/x",
        "x/.git",
        "git~1",
        "\x1b[31m",
        "é",
        "x" * 200,
        "a..b",
        "x@{u}",
        "x.",
        "..",
        "a/../b",
    ),
    *(
        "a//b",
        "/a",
        "a/",
        "a~b",
        "a^b",
        "a:b",
        "a?b",
        "a*b",
        "a[b",
        "a\\b",
        "",
        "a/.b",
        "a/-b",
        "$(x)",
        "`x`",
        "a;b",
        "a|b",
        "@",
    ),
]


@pytest.mark.parametrize("name", BRANCHES)
def test_names_of_branches_that_are_not_taken_over(name: str) -> None:
    assert find_name_problem(name) is not None
    with pytest.raises(Denied):
        plan_branch("box", name)


@pytest.mark.parametrize("name", ["main", "topic/x", "v1.0", "a_b-c", "HEAD", "fix+1", "user@host/x", "1"])
def test_names_of_branches_that_are(name: str) -> None:
    assert plan_branch("box", name) == f"banger/box/{name}"


@pytest.mark.parametrize("name", ["..", "../../../HEAD", "x.lock", "\x1b[31m", "a b"])
async def test_names_in_a_guest_that_writes_its_refs_by_hand(trip: Trip, name: str) -> None:
    (trip.copy / "a").write_text("a\n")
    head = guest_git(trip.copy, "rev-parse", "HEAD").decode().strip()
    packed = trip.copy / ".git" / "packed-refs"
    packed.write_text(packed.read_text() + f"{head} refs/heads/{name}\n")
    before = trip.state()
    with suppress(BangerError):
        await trip.fetch()
    assert trip.state() == before


@pytest.mark.parametrize(
    "said",
    [b"x\n", b"main\n", b"1234 main\n", b"a" * 40 + b"\n", b"A" * 40 + b" x\n", (b"a" * 40 + b" x\n") * 2, b"\0\n"],
)
def test_answers_that_make_no_sense(said: bytes) -> None:
    with pytest.raises(Failed):
        parse_branches(said)


def test_too_many_branches() -> None:
    with pytest.raises(Denied):
        parse_branches(b"".join(b"%040x b%d\n" % (number, number) for number in range(51)))


@pytest.mark.parametrize(
    "listed",
    [
        b":100644 160000 " + b"a" * 40 + b" " + b"b" * 40 + b" M\0x\0",
        b":000000 100644 " + b"0" * 40 + b" " + b"b" * 40 + b" A\0../x\0",
        b":000000 100644 " + b"0" * 40 + b" " + b"b" * 40 + b" A\0",
        b"nonsense\0x\0",
        b":100644 100644 R100\0a\0b\0",
    ],
)
def test_listings_that_are_refused(listed: bytes) -> None:
    with pytest.raises(Denied):
        parse_raw_diff(listed)


LIES = {
    "no pack": "echo PACK",
    "noise": "head -c 100000 /dev/urandom",
    "a pack that announces four billion objects": "printf 'PACK\\0\\0\\0\\2\\377\\377\\377\\377'",
    "nothing": "true",
    "a failure": "exit 1",
    "a death": "kill -9 $$",
    "only a part": '$GIT "$@" | head -c 100',
    "something after it": '$GIT "$@"; echo more',
    "an old commit only": "echo HEAD~1 | $GIT pack-objects -q --revs --stdout",
}


@pytest.mark.parametrize("name", LIES)
async def test_a_guest_whose_git_lies(trip: Trip, tmp_path: Path, name: str) -> None:
    (trip.copy / "a").write_text("a\n")
    guest_git(trip.copy, "add", "-A")
    guest_git(trip.copy, "commit", "-qm", "one")
    lies = tmp_path / "lies"
    lies.mkdir()
    real = next(f"{place}/git" for place in os.environ["PATH"].split(":") if Path(place, "git").exists())
    (lies / "git").write_text(
        f'#!/bin/sh\nGIT={real}\ncase "$*" in *pack-objects*) {LIES[name]};; *) exec $GIT "$@";; esac\n'
    )
    (lies / "git").chmod(0o755)
    await trip.refuse(LocalGuest(trip.travel.root, path=f"{lies}:{os.environ['PATH']}"))


async def test_endless_packs_are_cut_off(trip: Trip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("banger.workspace.fetching.PACK_LIMIT_BYTES", 1 << 20)
    (trip.copy / "a").write_bytes(os.urandom(2 << 20))
    guest_git(trip.copy, "add", "-A")
    guest_git(trip.copy, "commit", "-qm", "large")
    assert re.search(r"larger than 1 MiB", (await trip.refuse()).summary)


async def test_trees_of_the_same_trees_are_cut_off(trip: Trip, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seven objects, and a million files: with twelve of them git lists what no computer holds."""
    monkeypatch.setattr("banger.core.processes._OUTPUT_LIMIT_BYTES", 4 << 20)
    mode, oid = "100644", make_blob(trip)
    for _ in range(6):
        oid = make_tree(trip, *((mode, oid, b"%d" % number) for number in range(10)))
        mode = "40000"
    point(trip, plant(trip, oid))
    assert isinstance(await refuse_in_little_memory(trip), Denied)


async def test_targets_of_links_without_end_are_cut_off(trip: Trip) -> None:
    """A hundred kilobytes in the pack, a hundred megabytes when git unpacks them; or a thousand times as much."""
    point(trip, plant(trip, link(trip, bytes(100 << 20))))
    assert isinstance(await refuse_in_little_memory(trip), Denied)


async def refuse_in_little_memory(trip: Trip) -> BangerError:
    tracemalloc.start()
    try:
        error = await trip.refuse()
        assert tracemalloc.get_traced_memory()[1] < 24 << 20
    finally:
        tracemalloc.stop()
    return error


async def test_what_is_good_arrives(trip: Trip) -> None:
    """The same ways, with nothing wrong: it is the content that was refused above."""
    point(
        trip,
        plant(trip, make_tree(trip, ("100644", make_blob(trip, b"x"), b"a"), ("120000", make_blob(trip, b"a"), b"b"))),
    )
    quarantine = await trip.fetch()
    assert [branch.name for branch in quarantine.branches] == ["banger/box/planted"]
    git(trip.repository, "fsck", "--strict")


def point(trip: Trip, commit: str) -> None:
    """Have a branch of the guest at a commit."""
    path = trip.copy / ".git" / "refs" / "heads" / "planted"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{commit}\n")
