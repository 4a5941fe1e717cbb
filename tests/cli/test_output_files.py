"""What `--output` may name: new files, files, links, pipes and devices; and what is refused before anything is asked."""

from __future__ import annotations

import os
import stat
import subprocess

import pytest
from tests.cli.world import DEADLINE_S, World
from tests.fakes.daemon import Exchange, FakeDaemon

from banger.api import framing

EXPORT = "/v1/vms/box/workspace/export"
WORDS = ("vm", "workspace", "export", "box", "-q", "--output")
PATCH = b"a patch\n"
HINT = b"  hint: is there room left where the output goes?\n"
RESULT = {
    "files": [],
    "file_count": 0,
    "additions": 0,
    "deletions": 0,
    "findings": [],
    "size_bytes": 8,
    "base_commit": "b" * 40,
}


@pytest.fixture
def exporting(daemon: FakeDaemon) -> FakeDaemon:
    def handle(exchange: Exchange) -> None:
        exchange.frame(framing.OUTPUT, PATCH)
        exchange.frame(framing.RESULT, RESULT)
        exchange.end()

    daemon.streams(EXPORT, handle)
    return daemon


@pytest.mark.usefixtures("exporting")
def test_a_link_stays_a_link(world: World) -> None:
    (world.cwd / "old").write_bytes(b"old")
    for link, target in (("link", "old"), ("dangling", "new")):
        (world.cwd / link).symlink_to(target)
        done = world.run(*WORDS, link)
        assert (done.returncode, done.stderr) == (0, b"")
        assert (world.cwd / link).is_symlink()
        assert (world.cwd / target).read_bytes() == PATCH
    assert sorted(path.name for path in world.cwd.iterdir()) == ["dangling", "link", "new", "old"]


@pytest.mark.usefixtures("exporting")
def test_a_named_pipe_is_written_into(world: World) -> None:
    os.mkfifo(world.cwd / "pipe")
    with subprocess.Popen(["cat", world.cwd / "pipe"], stdout=subprocess.PIPE) as reader:
        assert world.run(*WORDS, "pipe").returncode == 0
        assert reader.communicate(timeout=DEADLINE_S)[0] == PATCH
    assert stat.S_ISFIFO((world.cwd / "pipe").stat().st_mode)


@pytest.mark.usefixtures("exporting")
def test_the_standard_output_by_its_name(world: World) -> None:
    done = world.run(*WORDS, "/dev/stdout")
    assert (done.returncode, done.stdout, done.stderr) == (0, PATCH, b"")


@pytest.mark.skipif(os.getuid() != 0, reason="only root makes devices")
@pytest.mark.usefixtures("exporting")
def test_a_device_is_written_into(world: World) -> None:
    node = world.cwd / "full"
    try:
        os.mknod(node, 0o600 | stat.S_IFCHR, os.makedev(1, 7))
        node.open("rb").close()
    except OSError:
        pytest.skip("no devices here")
    done = world.run(*WORDS, "full")
    assert (done.returncode, b"No space left" in done.stderr) == (1, True)
    assert [path.name for path in world.cwd.iterdir()] == ["full"]
    assert stat.S_ISCHR(node.stat().st_mode)


def test_a_command_whose_output_finds_no_room(world: World, daemon: FakeDaemon) -> None:
    daemon.streams("/v1/vms/box/exec", lambda exchange: exchange.frame(framing.OUTPUT, b"x"))
    with open("/dev/full", "wb") as full:
        process = world.start("vm", "exec", "box", "x", stdout=full.fileno())
    assert process.wait(DEADLINE_S) == 1
    assert process.stderr is not None
    assert process.stderr.read() == b"banger: standard output cannot be written: No space left on device\n" + HINT


@pytest.mark.parametrize("words", [("help", "--tree"), ("vm", "list", "--json")])
def test_what_is_printed_itself_finds_no_room(world: World, daemon: FakeDaemon, words: tuple[str, ...]) -> None:
    daemon.answers("GET", "/v1/vms", {"vms": []})
    with open("/dev/full", "wb") as full:
        process = world.start(*words, stdout=full.fileno())
    assert process.wait(DEADLINE_S) == 1
    assert process.stderr is not None
    assert process.stderr.read() == b"banger: the output cannot be written: No space left on device\n" + HINT


@pytest.mark.parametrize("name", [".", "no/such/dir/fix.patch", "file/fix.patch", "new/", ""])
def test_refused_before_anything_is_collected(world: World, exporting: FakeDaemon, name: str) -> None:
    (world.cwd / "file").touch()
    done = world.run(*WORDS, name)
    assert done.returncode == 2
    assert b"hint: " in done.stderr
    assert exporting.requests == []
    assert [path.name for path in world.cwd.iterdir()] == ["file"]
