"""Choosing how mmdebstrap runs, and running something in its place."""

from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from banger.core.content_store import ContentStore
from banger.core.errors import Unavailable, Unsupported
from banger.image.sandbox import (
    HostFacts,
    build_directory,
    check_runs_here,
    choose_mode,
    clear_abandoned_builds,
    read_host_facts,
    run_build,
)

USER = HostFacts(uid=1000, has_mmdebstrap=True, has_newuidmap=True, has_keyring=True, has_subordinate_ids=True)
ROOT = HostFacts(uid=0, has_mmdebstrap=True, has_newuidmap=False, has_keyring=True, has_subordinate_ids=False)


def test_root_and_users() -> None:
    assert choose_mode(ROOT) == "root"
    assert choose_mode(USER) == "unshare"
    assert choose_mode(replace(ROOT, obstacle="user.max_user_namespaces=1")) == "root"


@pytest.mark.parametrize(
    ("facts", "hint"),
    [
        (replace(ROOT, has_mmdebstrap=False), "apt install mmdebstrap"),
        (replace(USER, has_mmdebstrap=False), "apt install mmdebstrap"),
        (replace(USER, has_keyring=False), "apt install debian-archive-keyring"),
        (replace(USER, has_newuidmap=False), "apt install uidmap"),
        (replace(USER, has_subordinate_ids=False), "usermod --add-subuids"),
        (replace(USER, obstacle="kernel.unprivileged_userns_clone=1"), "sysctl -w kernel.unprivileged_userns_clone=1"),
    ],
)
def test_what_is_missing_comes_with_what_to_do(facts: HostFacts, hint: str) -> None:
    with pytest.raises((Unavailable, Unsupported)) as caught:
        choose_mode(facts)
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("", False),
        ("dev:100000:65536", True),
        (f"{os.getuid()}:100000:65536", True),
        ("other:100000:65536\ndev:1:70000", True),
        ("dev:100000:1000", False),
        ("other:100000:65536", False),
        ("dev:100000:many", False),
        ("dev", False),
    ],
)
def test_subordinate_ids(tmp_path: Path, line: str, expected: bool) -> None:
    (tmp_path / "etc").mkdir()
    for name in ("subuid", "subgid"):
        (tmp_path / "etc" / name).write_text(line + "\n")
    assert read_host_facts("dev", root=tmp_path).has_subordinate_ids is expected
    (tmp_path / "etc" / "subgid").unlink()
    assert not read_host_facts("dev", root=tmp_path).has_subordinate_ids


@pytest.mark.parametrize(
    ("setting", "value", "expected"),
    [
        ("kernel/unprivileged_userns_clone", "0", "kernel.unprivileged_userns_clone=1"),
        ("kernel/unprivileged_userns_clone", "1", ""),
        ("kernel/apparmor_restrict_unprivileged_userns", "1", "kernel.apparmor_restrict_unprivileged_userns=0"),
        ("user/max_user_namespaces", "0", "user.max_user_namespaces=65536"),
        ("user/max_user_namespaces", "50000", ""),
    ],
)
def test_settings_that_forbid_namespaces(tmp_path: Path, setting: str, value: str, expected: str) -> None:
    path = tmp_path / "proc" / "sys" / setting
    path.parent.mkdir(parents=True)
    path.write_text(value + "\n")
    assert read_host_facts("dev", root=tmp_path).obstacle == expected


async def test_the_build_directory_is_open_to_pass_through_and_goes(tmp_path: Path) -> None:
    draft, place = tmp_path / "draft", tmp_path / "place"
    draft.mkdir()
    place.mkdir()
    for mode, parent in (("root", draft), ("unshare", place)):
        async with build_directory(draft, mode=mode, place=place) as directory:
            assert directory.parent == parent
            assert directory.stat().st_mode & 0o777 == 0o711
            (directory / "file").write_text("x")
    assert list(place.iterdir()) == []


async def test_a_build_directory_that_a_killed_build_left_goes_and_a_used_one_stays(tmp_path: Path) -> None:
    left = tmp_path / f"banger-image-{os.getuid()}-left"
    (left / "deep").mkdir(parents=True)
    (tmp_path / "unrelated").mkdir()
    async with (
        build_directory(tmp_path, mode="unshare", place=tmp_path) as first,
        build_directory(tmp_path, mode="unshare", place=tmp_path) as second,
    ):
        assert first.exists()
        assert second.exists()
        assert not left.exists()
    assert [path.name for path in tmp_path.iterdir()] == ["unrelated"]


BUILDER = """\
import os, signal, sys, time
print("pid", os.getpid(), os.environ["TMPDIR"], flush=True)
signal.signal(signal.SIGINT, signal.SIG_DFL if sys.argv[2:] else signal.SIG_IGN)
child = os.fork()  # which has that from its first moment
if child == 0:
    time.sleep(300)
def stop(number, frame):
    open(os.environ["TMPDIR"] + "/stopped", "w").close()
    os.write(1, b"x" * 300_000)  # not through sys.stdout, in whose middle we may be
    sys.exit(3)
signal.signal(signal.SIGINT, stop)
print("child", child, flush=True)
sys.stdout.write("50%\\r100%\\rno end")
sys.stdout.flush()
if sys.argv[1] == "wait":
    time.sleep(300)
os.kill(child, signal.SIGKILL)
sys.exit(7)
"""


async def test_a_build_that_outlived_its_daemon_is_ended_gently(tmp_path: Path) -> None:
    left = tmp_path / f"banger-image-{os.getuid()}-left"
    left.mkdir()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", BUILDER, "wait", "mmdebstrap"),
        cwd=left,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        start_new_session=True,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    await process.stdout.readline()
    await process.stdout.readline()
    draining = asyncio.create_task(process.stdout.read())
    async with build_directory(tmp_path, mode="unshare", place=tmp_path):
        assert not left.exists()
        assert not is_running(process.pid)
    assert (tmp_path / "stopped").exists()
    await draining
    assert await process.wait() == 3


async def test_what_killed_builds_left_is_cleared_in_the_store_and_in_the_open(tmp_path: Path) -> None:
    content = ContentStore(tmp_path / "store", kind="image", native="x86_64")
    place = tmp_path / "open"
    left, draft = place / f"banger-image-{os.getuid()}-left", tmp_path / "store" / "drafts" / "left"
    for directory in (left / "deep", draft / "tmp", place / "unrelated"):
        directory.mkdir(parents=True)
    argv = (sys.executable, "-c", BUILDER, "wait", "mmdebstrap")
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    process = await asyncio.create_subprocess_exec(
        *argv, cwd=draft / "tmp", env=environment, start_new_session=True, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    await process.stdout.readline()
    await process.stdout.readline()
    draining = asyncio.create_task(process.stdout.read())
    with content.draft() as living:
        async with build_directory(living, mode="unshare", place=place) as used:
            left.mkdir(exist_ok=True)
            await clear_abandoned_builds(content, place=place)
            assert sorted(place.iterdir()) == sorted((used, place / "unrelated"))
        assert list(living.parent.iterdir()) == [living]
    assert (tmp_path / "stopped").exists()
    await draining
    assert await process.wait() == 3


async def test_lines_and_status(tmp_path: Path) -> None:
    lines: list[bytes] = []
    argv = [sys.executable, "-c", BUILDER, "end"]
    assert await run_build(argv, directory=tmp_path, take_line=lines.append) == 7
    assert lines[0].endswith(os.fsencode(tmp_path))
    assert lines[2:] == [b"50%", b"100%", b"no end"]


async def test_cancelled_it_is_asked_first_and_then_killed_with_its_children(tmp_path: Path) -> None:
    lines: list[bytes] = []
    ready = asyncio.Event()

    def take(line: bytes) -> None:
        lines.append(line)
        if line.startswith(b"child"):
            ready.set()

    argv = [sys.executable, "-c", BUILDER, "wait"]
    task = asyncio.create_task(run_build(argv, directory=tmp_path, take_line=take))
    async with asyncio.timeout(30):
        await ready.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (tmp_path / "stopped").exists()
    async with asyncio.timeout(10):  # the kernel takes a moment to bury what it has killed
        while any(is_running(int(line.split()[1])) for line in lines[:2]):
            await asyncio.sleep(0.01)


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_foreign_debian_is_only_built_where_its_programs_run(tmp_path: Path) -> None:
    check_runs_here("x86_64", host="x86_64", binfmt=tmp_path)
    with pytest.raises(Unavailable, match="for aarch64 can only be built where its programs run") as caught:
        check_runs_here("aarch64", host="x86_64", binfmt=tmp_path)
    assert "qemu-user-static" in caught.value.hint
    (tmp_path / "qemu-aarch64").touch()
    check_runs_here("aarch64", host="x86_64", binfmt=tmp_path)
