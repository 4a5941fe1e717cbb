"""Files of the user's home on their way into a guest, which is a dictionary here."""

from __future__ import annotations

import os
from collections.abc import AsyncIterable
from pathlib import Path

import pytest
from tests.collected_tree import CollectedEntry, collect_tree

from banger.api.messages import Event
from banger.core.config.file_sync import FileSync
from banger.core.errors import BangerError, Denied, Failed, Invalid
from banger.daemon.operations import file_sync
from banger.daemon.operations.file_sync import SyncFiles, plan_copies
from banger.guest.tree_pack import HostFile


class Guest:
    """Takes trees, or refuses them."""

    def __init__(self, refusal: BangerError | None = None) -> None:
        self.files: dict[str, CollectedEntry] = {}
        self._refusal = refusal

    async def put_tree(self, destination: bytes, tree: AsyncIterable[bytes]) -> None:
        if self._refusal is not None:
            raise self._refusal
        for path, entry in (await collect_tree(tree)).items():
            self.files[f"{destination.decode()}/{path.decode()}"] = entry


def entry(host: str, guest: str, mode: int | None = None) -> FileSync:
    return FileSync(host=host, guest=guest, mode=mode)


async def sync(home: Path, *entries: FileSync, guest: Guest | None = None) -> tuple[Guest, list[str]]:
    receiver = guest or Guest()
    events: list[Event] = []
    await SyncFiles(entries, home=home, guest_home="/root")(events.append, receiver)
    return receiver, [event["text"] for event in events if event["event"] == "notice"]


async def test_files_and_directories_arrive_with_their_modes(tmp_path: Path) -> None:
    (tmp_path / ".gitconfig").write_text("[user]")
    (tmp_path / ".gitconfig").chmod(0o644)
    (tmp_path / "nvim" / "lua").mkdir(parents=True)
    (tmp_path / "nvim" / "lua" / "a.lua").write_text("a")
    (tmp_path / "nvim" / "lua" / "a.lua").chmod(0o4751)
    (tmp_path / "tool").write_text("t")
    guest, notices = await sync(
        tmp_path,
        entry(".gitconfig", ".gitconfig"),
        entry("nvim", ".config/nvim"),
        entry("tool", "bin/tool", 0o755),
    )
    assert notices == []
    assert {path: found.record.mode for path, found in guest.files.items()} == {
        "/root/.gitconfig": 0o600,
        "/root/.config/nvim": 0o755,
        "/root/.config/nvim/lua": 0o755,
        "/root/.config/nvim/lua/a.lua": 0o751,
        "/root/bin/tool": 0o755,
    }
    assert guest.files["/root/.gitconfig"].content == b"[user]"
    assert guest.files["/root/.gitconfig"].record.mtime_s == int((tmp_path / ".gitconfig").stat().st_mtime)


async def test_what_is_missing_or_a_link_is_told_and_left_out(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("r")
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "evil\x1b").symlink_to("/etc/shadow")
    (tmp_path / "linked").symlink_to("d")
    guest, notices = await sync(
        tmp_path,
        entry("absent", "a"),
        entry("link", "b"),
        entry("d", "c", 0o600),
        entry("linked/x", "e"),
        entry("real", "f"),
    )
    assert sorted(guest.files) == ["/root/c", "/root/f"]
    assert notices == [
        "file_sync: ~/absent is not there: it is not copied",
        "file_sync: ~/link is a symbolic link: it is not copied",
        "file_sync: ~/d is a directory: its files keep their modes",
        "file_sync: ~/d/evil\\x1b is a symbolic link: it is not copied",
        "file_sync: ~/linked/x is behind a symbolic link, or a file: it is not copied",
    ]


async def test_nothing_is_sent_when_there_is_nothing(tmp_path: Path) -> None:
    refusing = Guest(Denied("never asked"))
    assert await sync(tmp_path, guest=refusing) == (refusing, [])
    assert (await sync(tmp_path, entry("absent", "a"), guest=refusing))[1] != []


async def test_many_warnings_are_few_lines(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    for number in range(50):
        (tmp_path / "d" / f"{number}").symlink_to("x")
    _, notices = await sync(tmp_path, entry("d", "d"))
    assert len(notices) == file_sync.WARNING_LIMIT + 1
    assert notices[-1] == "file_sync: 30 more are not copied"


async def test_a_guest_that_refuses_says_where(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("")
    with pytest.raises(Denied) as caught:
        await sync(tmp_path, entry("f", ".config/f"), guest=Guest(Denied("the destination cannot be made")))
    assert caught.value.summary == (
        "file_sync: files cannot be copied to /root/.config: the destination cannot be made"
    )
    assert caught.value.hint


def test_more_than_a_start_may_copy_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "big").open("wb") as file:
        file.truncate(file_sync.SIZE_LIMIT_BYTES)
    (tmp_path / "small").write_text("s")
    plan = plan_copies([entry("big", "big")], home=tmp_path, guest_home="/root")
    assert plan.size_bytes == file_sync.SIZE_LIMIT_BYTES
    with pytest.raises(Invalid, match=r"with ~/small it is more than 64 MiB in all"):
        plan_copies([entry("big", "big"), entry("small", "small")], home=tmp_path, guest_home="/root")


def test_too_many_files_are_refused_before_all_of_them_were_looked_at(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    for number in range(file_sync.ENTRY_LIMIT):
        (tmp_path / "d" / str(number)).touch()
    with pytest.raises(Invalid, match="more than 10000 files"):
        plan_copies([entry("d", "d")], home=tmp_path, guest_home="/root")


@pytest.mark.skipif(os.getuid() == 0, reason="root may read everything")
def test_what_may_not_be_read_ends_it(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir(mode=0)
    with pytest.raises(Failed, match="~/d cannot be read: Permission denied"):
        plan_copies([entry("d", "d")], home=tmp_path, guest_home="/root")


def test_trees_are_grouped_by_their_directory(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / name).touch()
    plan = plan_copies([entry("a", "x"), entry("b", "sub/x"), entry("c", "y")], home=tmp_path, guest_home="/root")
    assert list(plan.trees) == ["/root", "/root/sub"]
    assert [found.path for found in plan.trees["/root"]] == [b"x", b"y"]
    assert all(isinstance(found, HostFile) and found.root == tmp_path for found in plan.trees["/root"])
