"""What of a repository goes into a VM, and as what: with the real command line, daemon, agent and git."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from tests.component.fake_world import FakeWorld
from tests.component.test_prepare import PREPARE, guest_root, make_repository
from tests.contract.workspace_world import commit_all, git, tree_of, write


@pytest.fixture
def fresh(world: FakeWorld) -> FakeWorld:
    """A repository of two commits, with an untracked and an ignored file, and no VM yet."""
    world.keep_guests_apart()
    repository = make_repository(world.root / "repo")
    write(repository / "src/1.txt", "second\n")
    commit_all(repository, "second")
    write(repository / "notes/idea", "untracked\n")
    write(repository / "built", "ignored\n")
    world.start_daemon()
    return world


def run(world: FakeWorld, *arguments: str, path: str = ".") -> str:
    """Make a VM of the repository; what is said on standard error."""
    done = world.banger("vm", "run", "-d", "--name", "box", *arguments, path, cwd=world.root / "repo")
    assert done.returncode == 0, done.stderr
    return done.stderr.decode()


def dry(world: FakeWorld, *arguments: str) -> Any:
    done = world.succeed(
        "vm", "workspace", "prepare", "nobody", str(world.root / "repo"), "--dry-run", "--json", *arguments
    )
    return json.loads(done)


def test_untracked_files_stay_behind_and_are_counted_from_the_top(fresh: FakeWorld) -> None:
    assert "1 untracked file stays behind" in run(fresh, path="src")
    copy = guest_root(fresh) / "repo"
    assert not (copy / "notes").exists()
    done = fresh.banger(*PREPARE, str(fresh.root / "repo/src"))
    assert b"1 untracked file stays behind" in done.stderr


def test_untracked_files_come_along_and_ignored_ones_never(fresh: FakeWorld) -> None:
    repository = fresh.root / "repo"
    write(fresh.root / "patterns", "*.secret\n")
    (fresh.root / ".gitconfig").write_text("[core]\n\texcludesFile = ~/patterns\n")
    write(repository / "here", "by-configuration\n")
    git(repository, "config", "core.excludesFile", str(repository / "here"))
    write(repository / "by-configuration", "ignored too\n")
    write(repository / ".git/info/exclude", "here\nprivate\n")
    write(fresh.root / "config/git/ignore", "*.swp\n")
    write(repository / "notes/.idea.swp", "ignored everywhere\n")
    write(repository / "token.secret", "ignored by the user\n")
    write(repository / "private", "ignored here\n")
    (repository / "inner").mkdir()
    git(repository / "inner", "init", "-q")
    (repository / "notes/link").symlink_to("idea")
    assert "stay" not in run(fresh, "--include-untracked")
    copy = guest_root(fresh) / "repo"
    assert (copy / "notes/idea").read_bytes() == b"untracked\n"
    assert (copy / "notes/link").readlink() == Path("idea")
    for name in ("built", "token.secret", "private", "inner", "here", "by-configuration", "notes/.idea.swp"):
        assert not (copy / name).exists(), name
    # In the guest they are untracked too, and no edit.
    assert git(copy, "status", "--porcelain") == b"?? notes/\n"
    assert fresh.succeed("vm", "workspace", "export", "box") == b""
    # It is remembered.
    write(repository / "notes/idea", "changed\n")
    write(repository / "more", "more\n")
    assert fresh.json(*PREPARE, str(repository))["files"] == 2
    assert (copy / "more").read_bytes() == b"more\n"
    (repository / "more").unlink()
    git(repository, "add", "notes")
    git(repository, "commit", "-qm", "tracked now")
    assert fresh.json(*PREPARE, str(repository))["removed"] == 1
    assert not (copy / "more").exists()
    assert git(copy, "status", "--porcelain") == b""


def test_a_branch_of_its_own(fresh: FakeWorld) -> None:
    repository = fresh.root / "repo"
    write(repository / "src/2.txt", "not committed\n")
    run(fresh, "--branch", "try/this")
    copy = guest_root(fresh) / "repo"
    assert git(copy, "branch", "--show-current") == b"try/this\n"
    assert git(copy, "rev-parse", "HEAD") == git(repository, "rev-parse", "HEAD")
    assert git(copy, "status", "--porcelain") == b" M src/2.txt\n"
    assert fresh.vms()[0]["workspaces"][0]["branch"] == "try/this"
    assert git(repository, "branch", "--list", "try/this") == b""
    write(repository / "src/3.txt", "committed\n")
    git(repository, "commit", "-qam", "third")
    fresh.succeed(*PREPARE, str(repository))
    assert git(copy, "branch", "--show-current") == b"try/this\n"
    assert git(copy, "rev-parse", "HEAD") == git(repository, "rev-parse", "HEAD")


def test_a_branch_from_an_older_commit_has_its_files(fresh: FakeWorld) -> None:
    repository = fresh.root / "repo"
    write(repository / "src/2.txt", "not committed\n")
    (repository / "src/3.txt").unlink()
    run(fresh, "--branch", "old", "--from", "HEAD~1", "--guest-path", "/srv/app//")
    copy = guest_root(fresh).parent / "srv/app"
    assert git(copy, "rev-parse", "HEAD") == git(repository, "rev-parse", "HEAD~1")
    assert git(copy, "status", "--porcelain") == b""
    assert git(copy, "log", "--format=%s") == b"first\n"
    assert (copy / "src/2.txt").read_bytes() == b"2\n" * 100
    assert (copy / "src/3.txt").exists()
    assert fresh.succeed("vm", "exec", "box", "--", "pwd") == b"/srv/app\n"
    assert fresh.json(*PREPARE, str(repository))["files"] == 0
    write(copy / "src/1.txt", "work\n")
    assert b"+work" in fresh.succeed("vm", "workspace", "export", "box")


def test_a_full_copy_has_all_of_history(fresh: FakeWorld) -> None:
    repository = fresh.root / "repo"
    for number in range(60):
        git(repository, "commit", "-q", "--allow-empty", "-m", f"number {number}")
    git(repository, "tag", "-a", "v1", "-m", "annotated", "HEAD~3")
    git(repository, "tag", "light")
    git(repository, "branch", "side", "HEAD~5")
    run(fresh, "--mode", "full-copy")
    copy = guest_root(fresh) / "repo"
    assert len(git(copy, "log", "--format=%s").splitlines()) == 62
    for ref in ("v1", "v1^{commit}", "light", "side"):
        assert git(copy, "rev-parse", ref) == git(repository, "rev-parse", ref)
    assert git(copy, "fsck", "--strict", "--no-dangling") == b""
    assert not (copy / ".git/shallow").exists()
    write(repository / "src/1.txt", "third\n")
    git(repository, "commit", "-qam", "third")
    assert fresh.json(*PREPARE, str(repository))["files"] == 1
    assert len(git(copy, "log", "--format=%s").splitlines()) == 63
    done = fresh.banger(*PREPARE, str(repository), "--mode", "overlay")
    assert b"was copied with --mode full-copy" in done.stderr


def test_submodules_travel_in_a_full_copy_alone(fresh: FakeWorld) -> None:
    repository = fresh.root / "repo"
    library = make_repository(fresh.root / "library")
    deep = make_repository(fresh.root / "deep")
    allow = ("-c", "protocol.file.allow=always")
    git(library, *allow, "submodule", "--quiet", "add", str(deep), "nested/deep")
    commit_all(library, "with a submodule")
    git(repository, *allow, "submodule", "--quiet", "add", str(library), "lib/one")
    git(repository, *allow, "submodule", "--quiet", "add", str(deep), "absent")
    git(repository, *allow, "submodule", "--quiet", "update", "--init", "--recursive")
    git(repository, "add", ".gitmodules", "lib", "absent")
    git(repository, "commit", "-qm", "submodules")
    git(repository, "submodule", "--quiet", "deinit", "absent")
    # A submodule that would run something when git looks at it from above.
    canary = fresh.root / "canary"
    inside = repository / "lib/one"
    git(inside, "config", "core.fsmonitor", f"touch {canary}; false")
    git(inside, "config", "filter.evil.clean", f"touch {canary}; cat")
    write(inside / ".gitattributes", "* filter=evil\n")
    write(inside / "src/1.txt", "changed in the submodule\n")
    refused = fresh.banger("vm", "run", "-d", ".", cwd=repository)
    assert b"submodule" in refused.stderr
    assert b"--mode full-copy" in refused.stderr
    for more in ("-d", "--dry-run"):
        refused = fresh.banger("vm", "run", more, "--branch", "x", "--from", "HEAD", ".", cwd=repository)
        assert b"a submodule at" in refused.stderr
    assert fresh.vms() == []
    run(fresh, "--mode", "full-copy")
    copy = guest_root(fresh) / "repo"
    assert not canary.exists()
    assert (copy / "lib/one/src/1.txt").read_bytes() == b"changed in the submodule\n"
    assert (copy / "lib/one/nested/deep/src/1.txt").read_bytes() == b"1\n" * 100
    assert (copy / "absent").is_dir()
    assert git(copy / "lib/one", "rev-parse", "HEAD") == git(library, "rev-parse", "HEAD")
    assert git(copy, "status", "--porcelain") == b" M lib/one\n"
    assert git(copy / "lib/one", "status", "--porcelain") == b" M src/1.txt\n"
    listed = dry(fresh, "--mode", "full-copy")
    assert "lib/one/nested/deep/src/1.txt" in {file["path"] for file in listed["files"]}
    # Again: each where it is.
    write(inside / "src/2.txt", "more\n")
    write(repository / "src/4.txt", "more\n")
    assert fresh.json(*PREPARE, str(repository))["files"] == 2
    assert (copy / "lib/one/src/2.txt").read_bytes() == b"more\n"
    write(copy / "lib/one/src/3.txt", "by the guest\n")
    patch = fresh.succeed("vm", "workspace", "export", "box", "--guest-path", "/root/repo/lib/one")
    assert b"+by the guest" in patch
    assert not canary.exists()


def test_a_dry_run_says_exactly_what_would_go_in_and_makes_nothing(world: FakeWorld) -> None:
    """There is no daemon, and none is started."""
    repository = make_repository(world.root / "repo")
    write(repository / "run.sh", "#!/bin/sh\n", executable=True)
    (repository / "link").symlink_to("src/1.txt")
    write(os.fsencode(repository) + b"/\xff\n", "odd\n")
    git(repository, "add", "--all")
    (repository / "src/2.txt").unlink()
    write(repository / "src/1.txt", "larger than it was\n" * 10)
    write(repository / "untracked", "x\n")
    before = sorted(str(path) for path in world.root.rglob("*"))
    plan = dry(world)
    assert (plan["guest_path"], plan["mode"], plan["branch"], plan["untracked_count"]) == (
        "/root/repo",
        "overlay",
        "main",
        1,
    )
    found = {os.fsencode(file["path"]): (file["mode"], file["size_bytes"]) for file in plan["files"]}
    assert len(found) == 23
    assert found[b"run.sh"] == ("100755", 10)
    assert found[b"link"] == ("120000", 9)
    assert found[b"src/1.txt"] == ("100644", 190)
    assert found[b"\xff\n"] == ("100644", 4)
    assert b"src/2.txt" not in found
    assert b"untracked" in {os.fsencode(file["path"]) for file in dry(world, "--include-untracked")["files"]}
    text = world.banger("vm", "run", "--dry-run", cwd=repository / "src")
    assert text.returncode == 0
    assert b"100755  10 run.sh\n" in text.stdout
    assert b"23 files" in text.stderr
    assert b"1 untracked file would stay behind" in text.stderr
    commit_all(repository, "all of it")
    older = dry(world, "--branch", "x", "--from", "HEAD~1")
    assert {file["path"]: file["size_bytes"] for file in older["files"]}["src/1.txt"] == 200
    git(repository, "reset", "-q", "HEAD~1")
    assert world.daemon is None
    assert [path for path in map(str, sorted(world.root.rglob("*"))) if ".git/" not in path] == [
        path for path in before if ".git/" not in path
    ]


def test_the_list_is_what_travels(fresh: FakeWorld) -> None:
    repository = fresh.root / "repo"
    (repository / "src/5.txt").unlink()
    (repository / "src/5.txt").mkdir()
    write(repository / "src/5.txt/inside", "untracked\n")
    write(repository / "src/6.txt", "6\n", executable=True)
    listed = {file["path"] for file in dry(fresh, "--include-untracked")["files"]}
    run(fresh, "--include-untracked")
    copy = guest_root(fresh) / "repo"
    there = {str(path.relative_to(copy)) for path in copy.rglob("*") if not path.is_dir() and ".git" not in path.parts}
    assert listed == there
    assert tree_of(copy) == tree_of(repository)


REFUSED = [
    (("--from", "HEAD"), b"--branch"),
    (("--branch", "x..y"), b"not a name of a branch"),
    (("--branch", "x", "--from", "nothing"), b"does not name a commit"),
    (("--branch", "x", "--from=--output=/tmp/x"), b"does not name a commit"),
    (("--branch", "x", "--from", "HEAD", "--include-untracked"), b"exclude each other"),
    (("--guest-path", "app"), b"not an absolute path"),
    (("--guest-path", "/root/../etc/x"), b"goes up"),
    (("--guest-path", "/etc/app"), b"belongs to the guest's system"),
    (("--guest-path", "/root"), b"not for one workspace alone"),
    (("--mode", "shallow"), b"choose from"),
]


def test_what_cannot_be_is_refused_before_anything_exists(fresh: FakeWorld) -> None:
    for arguments, words in REFUSED:
        for more in ("--dry-run", "-d"):
            done = fresh.banger("vm", "run", more, *arguments, ".", cwd=fresh.root / "repo")
            assert done.returncode != 0
            assert words in done.stderr, done.stderr
            assert b"Traceback" not in done.stderr
    assert fresh.rows("operation") == 0


def test_flags_about_a_repository_need_one(fresh: FakeWorld) -> None:
    done = fresh.banger("vm", "run", "-d", "--no-workspace", "--branch", "x")
    assert b"--branch is about a repository" in done.stderr
