"""`vm workspace prepare` with the real command line, daemon, agent and git: a repository goes in again, and others too."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest
from tests.component.fake_world import FakeWorld
from tests.contract.workspace_world import commit_all, git, tree_of, write
from tests.world import until

PREPARE = ("vm", "workspace", "prepare", "box")


@pytest.fixture
def box(world: FakeWorld) -> FakeWorld:
    """A VM with a repository of twenty files in /root/repo."""
    world.keep_guests_apart()
    repository = make_repository(world.root / "repo")
    world.start_daemon()
    world.succeed("vm", "run", "-d", "--name", "box", ".", cwd=repository)
    return world


def make_repository(path: Path) -> Path:
    path.mkdir()
    git(path, "init", "-q", "-b", "main")
    for number in range(20):
        write(path / f"src/{number}.txt", f"{number}\n" * 100)
    write(path / ".gitignore", "built\n")
    commit_all(path, "first")
    return path


def guest_root(world: FakeWorld) -> Path:
    (found,) = (world.root / "guests").iterdir()
    return found / "root"


def prepare(world: FakeWorld, *arguments: str, cwd: Path | None = None) -> dict[str, object]:
    result: dict[str, object] = world.json(*PREPARE, str(cwd or world.root / "repo"), *arguments)
    return result


def refused(world: FakeWorld, *arguments: str) -> bytes:
    done = world.banger(*PREPARE, str(world.root / "repo"), *arguments)
    assert done.returncode != 0
    assert b"Traceback" not in done.stderr
    return done.stderr


def same(world: FakeWorld, name: str = "repo") -> None:
    """The guest has the files, the status and the newest commit of the host, and its repository is whole."""
    host, copy = world.root / name, guest_root(world) / name
    assert tree_of(copy) == tree_of(host)
    for question in (("status", "--porcelain"), ("rev-parse", "HEAD"), ("branch", "--show-current")):
        assert git(copy, *question) == git(host, *question), question
    assert git(copy, "fsck", "--strict", "--no-dangling") == b""
    assert not list((copy / ".git").glob("banger-*"))


def test_only_what_changed_moves(box: FakeWorld) -> None:
    repository = box.root / "repo"
    same(box)
    result = prepare(box)
    assert (result["created"], result["files"], result["removed"], result["size_bytes"]) == (False, 0, 0, 0)
    inodes = {path.name: path.stat().st_ino for path in (guest_root(box) / "repo/src").iterdir()}
    for number in range(5):
        write(repository / f"src/{number}.txt", f"changed {number}\n")
    write(repository / "src/5.txt", "5\n" * 100, executable=True)
    (repository / "src/6.txt").unlink()
    (repository / "src/7.txt").rename(repository / "src/seven.txt")
    write(repository / "new/deep/er.txt", "new\n")
    (repository / "new/link").symlink_to("deep/er.txt")
    git(repository, "add", "src/seven.txt", "new")
    result = prepare(box)
    assert (result["files"], result["removed"]) == (9, 2)
    assert int(str(result["size_bytes"])) < 6_000
    same(box)
    after = {path.name: path.stat().st_ino for path in (guest_root(box) / "repo/src").iterdir()}
    kept = {f"{number}.txt" for number in range(8, 20)}
    assert {name: after[name] for name in kept} == {name: inodes[name] for name in kept}
    # Committed, and back again: the content is there already, or goes away with its directories.
    commit_all(repository, "second")
    assert prepare(box)["files"] == 0
    same(box)
    git(repository, "checkout", "-q", "-b", "other", "HEAD~1")
    assert prepare(box)["branch"] == "other"
    same(box)
    assert not (guest_root(box) / "repo/new").exists()


def test_files_become_directories_and_the_other_way(box: FakeWorld) -> None:
    repository = box.root / "repo"
    write(guest_root(box) / "repo/src/built", "ignored\n")
    git(repository, "rm", "-rq", "src")
    write(repository / "src", "a file now\n")
    write(repository / "plain", "a directory soon\n")
    commit_all(repository)
    prepare(box)
    same(box)
    git(repository, "rm", "-q", "src", "plain")
    write(repository / "src/0.txt", "again\n")
    write(repository / "plain/x/y", "y\n")
    (repository / "plain/x/z").symlink_to("/etc")
    commit_all(repository)
    prepare(box)
    same(box)


def test_what_was_done_in_the_guest_is_not_lost(box: FakeWorld) -> None:
    repository, copy = box.root / "repo", guest_root(box) / "repo"
    write(copy / "src/1.txt", "by the guest\n")
    write(copy / "notes", "new in the guest\n")
    write(copy / "built", "ignored\n")
    write(repository / "src/2.txt", "by the host\n")
    prepare(box)
    # Neither was touched by the host.
    assert (copy / "src/1.txt").read_bytes() == b"by the guest\n"
    assert (copy / "src/2.txt").read_bytes() == b"by the host\n"
    assert git(copy, "status", "--porcelain") == b" M src/1.txt\n M src/2.txt\n?? notes\n"
    patch = box.succeed("vm", "workspace", "export", "box")
    assert b"src/1.txt" in patch
    assert b"src/2.txt" not in patch
    write(repository / "src/1.txt", "by the host\n")
    said = refused(box)
    assert b"changed both here and in box: src/1.txt" in said
    assert b"--overwrite" in said
    assert (copy / "src/1.txt").read_bytes() == b"by the guest\n"
    # What was brought out and applied here is the same on both sides.
    write(repository / "src/1.txt", "by the guest\n")
    assert prepare(box)["files"] == 0
    write(repository / "notes", "new here too\n")
    git(repository, "add", "notes")
    assert b"notes" in refused(box)
    prepare(box, "--overwrite")
    same(box)
    assert (copy / "built").exists()


def test_a_new_file_in_the_way_is_not_lost(box: FakeWorld) -> None:
    repository, copy = box.root / "repo", guest_root(box) / "repo"
    write(copy / "new", "a file of the guest\n")
    write(repository / "new/file", "x\n")
    git(repository, "add", "new")
    assert b"box: new" in refused(box)
    (copy / "new").unlink()
    write(copy / "new/file/below", "below a file of the host\n")
    assert b"new/file/below" in refused(box)
    prepare(box, "--overwrite")
    same(box)


def test_commits_of_the_guest_are_not_lost(box: FakeWorld) -> None:
    repository, copy = box.root / "repo", guest_root(box) / "repo"
    write(copy / "src/1.txt", "committed in the guest\n")
    commit_all(copy, "in the guest")
    assert b"commits that are not in the repository" in refused(box)
    git(repository, "pull", "-q", str(copy), "main")
    assert prepare(box)["files"] == 0
    same(box)
    write(copy / "src/2.txt", "again\n")
    commit_all(copy, "dropped")
    dropped = git(copy, "rev-parse", "HEAD")
    prepare(box, "--overwrite")
    same(box)
    assert git(copy, "rev-parse", "main@{1}") == dropped


def test_history_follows(box: FakeWorld) -> None:
    repository, copy = box.root / "repo", guest_root(box) / "repo"
    git(repository, "checkout", "-q", "-b", "side")
    write(repository / "side", "side\n")
    commit_all(repository, "on the side")
    git(repository, "checkout", "-q", "main")
    write(repository / "main", "main\n")
    commit_all(repository, "on main")
    git(repository, "merge", "-q", "-m", "merged", "side")
    prepare(box)
    same(box)
    assert len(git(copy, "log", "--format=%s").splitlines()) == 4
    # What the guest had is rewritten, and what it was made of is gone.
    git(repository, "checkout", "-q", "--orphan", "fresh")
    commit_all(repository, "fresh")
    git(repository, "branch", "-D", "main", "side")
    git(repository, "reflog", "expire", "--expire=now", "--all")
    git(repository, "gc", "-q", "--prune=now")
    prepare(box)
    same(box)
    git(repository, "checkout", "-q", "--detach")
    prepare(box)
    same(box)


def test_several_repositories(box: FakeWorld) -> None:
    other = make_repository(box.root / "other")
    result = prepare(box, cwd=other / "src")
    assert (result["created"], result["guest_path"], result["files"]) == (True, "/root/other", 21)
    same(box, "other")
    assert prepare(box, cwd=other)["files"] == 0
    (box.root / "deep").mkdir()
    namesake = make_repository(box.root / "deep/repo")
    done = box.banger(*PREPARE, str(namesake))
    assert b"/root/repo in box is the workspace of" in done.stderr
    assert b"--guest-path" in done.stderr
    assert prepare(box, "--guest-path", "/root/second/repo", cwd=namesake)["guest_path"] == "/root/second/repo"
    done = box.banger(*PREPARE, str(namesake), "--guest-path", "/root/repo/inside")
    assert b"inside each other" in done.stderr
    listed = box.succeed("vm", "list").decode()
    for place in ("/root/repo", "/root/other", "/root/second/repo"):
        assert place in listed
    write(guest_root(box) / "other/src/1.txt", "changed\n")
    assert b"src/1.txt" in box.succeed("vm", "workspace", "export", "box", "--guest-path", "/root/other")
    # They survive the daemon, and are known to it afterwards.
    box.restart_daemon()
    assert prepare(box)["files"] == 0


def test_a_workspace_that_is_damaged_is_copied_again_when_told(box: FakeWorld) -> None:
    copy = guest_root(box) / "repo"
    subprocess.run(["rm", "-rf", copy / ".git"], check=True)
    assert b"--overwrite" in refused(box)
    assert prepare(box, "--overwrite")["created"] is True
    same(box)
    subprocess.run(["rm", "-rf", copy], check=True)
    assert b"/root/repo is no longer a directory in the guest" in refused(box)
    assert prepare(box, "--overwrite")["created"] is True
    same(box)
    (copy / ".git/index.lock").touch()
    assert b"git is at work" in refused(box)
    os.unlink(copy / ".git/index.lock")
    (known,) = (box.state / "vms").glob("*/workspaces/*")
    known.write_bytes(known.read_bytes()[:-40])
    assert b"it is not known what" in refused(box)
    assert prepare(box, "--overwrite")["created"] is True
    assert prepare(box)["files"] == 0
    assert len(list((box.state / "vms").glob("*/workspaces/*"))) == 1


def test_unknown_machines_and_places(box: FakeWorld) -> None:
    (box.root / "nothing").mkdir()
    assert b"not in a git repository" in box.banger(*PREPARE, str(box.root / "nothing")).stderr
    assert b"no VM" in box.banger("vm", "workspace", "prepare", "nobody", str(box.root / "repo")).stderr
    box.succeed("vm", "stop", "box")
    assert b"not running" in refused(box)


def test_a_file_of_the_same_second_and_size_is_not_taken_for_the_old_one(box: FakeWorld) -> None:
    repository, copy = box.root / "repo", guest_root(box) / "repo"
    moment = (repository / "src/1.txt").stat().st_mtime
    write(repository / "src/1.txt", "2\n" * 100)
    os.utime(repository / "src/1.txt", (moment, moment))
    assert prepare(box)["files"] == 1
    assert git(copy, "status", "--porcelain") == b" M src/1.txt\n"


def test_what_is_staged_follows_when_nothing_else_changed(box: FakeWorld) -> None:
    repository = box.root / "repo"
    write(repository / "src/1.txt", "changed\n")
    prepare(box)
    same(box)
    assert prepare(box)["size_bytes"] == 0
    git(repository, "add", "src/1.txt")
    prepare(box)
    same(box)
    assert prepare(box)["size_bytes"] == 0
    git(guest_root(box) / "repo", "checkout", "-q", "-b", "elsewhere")
    prepare(box)
    same(box)


def test_giving_up_leaves_everything_as_it_was(box: FakeWorld) -> None:
    """Ctrl-C while the contents are on their way."""
    repository, copy = box.root / "repo", guest_root(box) / "repo"
    before = tree_of(copy)
    box.kill_daemon()
    box.start_daemon(failpoints="update.stage.after_act=hang")
    write(repository / "src/1.txt", "changed\n")
    write(repository / "new", os.urandom(1 << 20))
    git(repository, "add", "new")
    process = box.start(*PREPARE, str(repository))
    until((copy / ".git/banger-incoming").exists)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    until(lambda: not list((copy / ".git").glob("banger-*")))
    assert tree_of(copy) == before
    assert git(copy, "status", "--porcelain") == b""
    box.kill_daemon()
    box.start_daemon()
    assert prepare(box)["files"] == 2
    same(box)
