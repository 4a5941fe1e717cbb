"""What was done in a guest comes back into the working tree: whole, reviewed, and never twice."""

from __future__ import annotations

import json
import os
import pty
import signal
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.component.fake_world import FakeWorld
from tests.contract.workspace_world import tree_of
from tests.world import commit_all, git, until

EXPORTS = "exports"


@pytest.fixture
def repository(world: FakeWorld) -> Path:
    """A repository with a VM `box` that has a copy of it."""
    world.keep_guests_apart()
    path = world.root / "repo"
    (path / "src").mkdir(parents=True)
    (path / "tests").mkdir()
    git(path, "init", "-q", "-b", "main")
    git(path, "config", "user.name", "Somebody")
    git(path, "config", "user.email", "somebody@example.org")
    (path / "notes.txt").write_text("one\ntwo\nthree\n")
    (path / "src" / "main.py").write_text("print('one')\n")
    (path / "tests" / "test_main.py").write_text("def test_one():\n    assert 1\n\n\ndef test_two():\n    assert 2\n")
    (path / "run.sh").write_text("#!/bin/sh\n")
    (path / "tool").write_text("#!/bin/sh\n")
    (path / "tool").chmod(0o755)
    (path / "logo.png").write_bytes(bytes(range(256)))
    (path / "link").symlink_to("notes.txt")
    commit_all(path)
    world.start_daemon()
    world.succeed("vm", "run", "-q", "-d", "--name", "box", ".", cwd=path)
    return path


def in_guest(world: FakeWorld, script: str) -> bytes:
    return world.succeed("vm", "exec", "box", "--", "sh", "-ec", script)


EDITS = """
echo four >>notes.txt
mkdir -p deep/er
echo new >deep/er/file
printf '\\000\\001\\002' >logo.png
chmod +x run.sh
chmod -x tool
rm src/main.py
ln -sf src link
rm -r tests
echo instead >tests
"""


def apply(world: FakeWorld, repository: Path, *words: str) -> subprocess.CompletedProcess[bytes]:
    return world.banger("vm", "workspace", "apply", "box", *words, cwd=repository)


def succeed(world: FakeWorld, repository: Path, *words: str) -> Any:
    done = apply(world, repository, "--json", *words)
    assert done.returncode == 0, (done, world.log_tail())
    return json.loads(done.stdout)


def guest_tree(world: FakeWorld) -> dict[bytes, tuple[str, bytes]]:
    (copy,) = (world.root / "guests").glob("*/root/repo")
    return tree_of(copy)


def saved(world: FakeWorld) -> list[Path]:
    return sorted((world.state / EXPORTS).glob("*.patch"))


def test_everything_comes_back_and_nothing_is_committed(world: FakeWorld, repository: Path) -> None:
    head = git(repository, "rev-parse", "HEAD")
    index = (repository / ".git" / "index").read_bytes()
    in_guest(world, EDITS)
    result = succeed(world, repository, "--yes")
    assert result["applied"]["changed"] == result["review"]["pending"] == 9
    assert tree_of(repository) == guest_tree(world)
    assert not (repository / "src").exists()
    assert git(repository, "rev-parse", "HEAD") == head
    assert (repository / ".git" / "index").read_bytes() == index
    assert [path.stat().st_mode & 0o777 for path in saved(world)] == [0o600]
    assert not any((world.state / "applies").iterdir())


def test_what_was_applied_before_counts_once(world: FakeWorld, repository: Path) -> None:
    in_guest(world, "echo four >>notes.txt; echo a >a")
    assert succeed(world, repository, "--yes")["applied"]["changed"] == 2
    again = succeed(world, repository, "--yes")
    assert (again["applied"], again["review"]["already"], again["review"]["pending"]) == (None, 2, 0)
    in_guest(world, "echo five >>notes.txt; echo b >a; git add -A; git commit -qm x; echo six >>notes.txt; echo c >b")
    third = succeed(world, repository, "--yes")
    assert third["applied"]["changed"] == 3
    assert (repository / "notes.txt").read_text() == "one\ntwo\nthree\nfour\nfive\nsix\n"
    assert tree_of(repository) == guest_tree(world)


def test_what_was_brought_is_no_change_of_ones_own(world: FakeWorld, repository: Path) -> None:
    """File after file can be picked, and an edit of what was brought is the user's."""
    in_guest(world, "echo four >>notes.txt; echo x >>run.sh; rm tool")
    for picked in ("notes.txt", "run.sh", "tool"):
        assert succeed(world, repository, "--yes", "--pick", picked)["applied"]["changed"] == 1
    in_guest(world, "echo five >>notes.txt")
    (repository / "run.sh").write_text("mine\n")
    refused = apply(world, repository, "--yes")
    assert refused.returncode == 5
    assert b"not committed: run.sh\n" in refused.stderr


def test_what_is_undone_in_the_guest_is_undone_here(world: FakeWorld, repository: Path) -> None:
    before = tree_of(repository)
    in_guest(world, "echo four >>notes.txt; echo a >a; rm run.sh; chmod -x tool; echo stays >b")
    succeed(world, repository, "--yes")
    (repository / "b").write_text("mine\n")
    in_guest(world, "git checkout -q .; rm a b")
    checked = succeed(world, repository, "--check", "--allow-dirty")["review"]
    assert (checked["file_count"], checked["pending"]) == (0, 4)
    assert sorted(checked["reverted"]) == ["a", "notes.txt", "run.sh", "tool"]
    told = apply(world, repository, "--yes", "--allow-dirty").stderr
    assert b"Applied before and undone in the guest" in told
    assert tree_of(repository) == {**before, b"b": ("file", b"mine\n")}


@pytest.mark.parametrize("point", ["apply.prepare.after_act", "apply.write.before_intent", "apply.write.after_act"])
def test_control_c_leaves_the_old_tree(world: FakeWorld, repository: Path, point: str) -> None:
    in_guest(world, EDITS)
    before = tree_of(repository)
    world.kill_daemon()
    world.start_daemon(failpoints=f"{point}=hang")
    process = world.start("vm", "workspace", "apply", "box", "--yes", cwd=repository)
    until(lambda: any((world.state / "applies").glob("*/plan.json")))
    until(lambda: tree_of(repository) != before if point.endswith("write.after_act") else True)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    until(lambda: not any((world.state / "applies").iterdir()))
    assert tree_of(repository) == before


def test_what_was_only_looked_at_is_not_undone(world: FakeWorld, repository: Path) -> None:
    in_guest(world, "echo a >a")
    succeed(world, repository, "--check")
    (repository / "a").write_text("a\n")  # by chance the same
    in_guest(world, "rm a")
    assert succeed(world, repository, "--yes", "--allow-dirty")["review"]["pending"] == 0
    assert (repository / "a").exists()


def test_the_repository_one_is_in_is_meant(world: FakeWorld, repository: Path) -> None:
    other = world.root / "another"
    (other / "deep").mkdir(parents=True)
    git(other, "init", "-q")
    (other / "deep" / "file").write_text("x\n")
    commit_all(other)
    world.succeed("vm", "workspace", "prepare", "box", ".", cwd=other)
    in_guest(world, "echo a >/root/another/a; echo b >/root/repo/b")
    for place, name in ((other / "deep", "a"), (repository, "b")):
        assert b"A " + name.encode() in world.succeed("vm", "workspace", "diff", "box", "--stat", cwd=place)
        world.succeed("vm", "workspace", "apply", "box", "--yes", cwd=place)
    assert ((other / "a").read_text(), (repository / "b").read_text()) == ("a\n", "b\n")


def test_a_repository_with_submodules(world: FakeWorld, repository: Path) -> None:
    """Each is a workspace of its own. One that would run something here is not even looked at."""
    library = world.root / "library"
    library.mkdir()
    git(library, "init", "-q", "-b", "main")
    (library / "lib.txt").write_text("lib\n")
    commit_all(library)
    git(repository, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(library), "lib")
    commit_all(repository)
    canary = world.root / "canary"
    git(repository / "lib", "config", "core.fsmonitor", f"touch {canary}")
    canary.unlink(missing_ok=True)
    world.succeed("vm", "delete", "box")
    world.succeed("vm", "run", "-q", "-d", "--name", "box", "--mode", "full-copy", ".", cwd=repository)
    in_guest(world, "echo four >>notes.txt; git commit -qam four; cd lib; echo more >>lib.txt")
    assert world.json("vm", "workspace", "status", "box")["host_changes"] == 0
    assert succeed(world, repository, "--yes")["applied"]["changed"] == 1
    assert succeed(world, repository, "--yes", "--guest-path", "/root/repo/lib")["applied"]["changed"] == 1
    assert (repository / "lib" / "lib.txt").read_text() == "lib\nmore\n"
    assert b"banger/box/main" in world.succeed("vm", "workspace", "fetch", "box")
    assert not canary.exists()


def test_a_file_that_changed_here_too_stops_everything(world: FakeWorld, repository: Path) -> None:
    (repository / "notes.txt").write_text("ONE\ntwo\nthree\n")
    commit_all(repository)
    in_guest(world, "echo 1 >notes.txt; echo a >a")
    before = tree_of(repository)
    done = apply(world, repository, "--yes")
    assert done.returncode == 1
    assert b"the patch does not fit the files here: notes.txt" in done.stderr
    (patch,) = saved(world)
    assert b"+a" in patch.read_bytes()
    assert bytes(patch) in done.stderr
    assert apply(world, repository, "--check").returncode == 1
    assert tree_of(repository) == before
    assert succeed(world, repository, "--yes", "--pick", "a")["applied"]["changed"] == 1
    assert (repository / "a").read_text() == "a\n"


def test_changes_elsewhere_in_the_file_are_kept(world: FakeWorld, repository: Path) -> None:
    lines = [f"{number}\n" for number in range(20)]
    in_guest(world, "rm notes.txt; seq 1 19 >list; git add -A; git commit -qm list")
    succeed(world, repository, "--yes")
    commit_all(repository)
    (repository / "list").write_text("".join(lines))  # a line more at the beginning
    commit_all(repository)
    in_guest(world, "echo 20 >>list")
    done = apply(world, repository, "--yes", "--base-commit", "HEAD")
    assert done.returncode == 0, done
    assert (repository / "list").read_text() == "".join([*lines, "20\n"])


@pytest.mark.parametrize("staged", [False, True])
def test_a_dirty_repository_is_left_alone(world: FakeWorld, repository: Path, staged: bool) -> None:
    (repository / "run.sh").write_text("#!/bin/sh\nmine\n")
    if staged:
        git(repository, "add", "-A")
    in_guest(world, "echo a >a")
    done = apply(world, repository, "--yes")
    assert done.returncode == 5
    assert b"not committed: run.sh" in done.stderr
    assert not (repository / "a").exists()
    succeed(world, repository, "--yes", "--allow-dirty")
    assert (repository / "a").exists()
    assert (repository / "run.sh").read_text() == "#!/bin/sh\nmine\n"


@pytest.mark.parametrize("kind", ["file", "link", "directory", "fifo", "link above"])
def test_what_is_not_tracked_here_is_in_the_way(world: FakeWorld, repository: Path, kind: str) -> None:
    in_guest(world, "mkdir new; echo theirs >new/a")
    outside = world.root / "outside"
    outside.mkdir()
    if kind == "link above":
        (repository / "new").symlink_to(outside)
    else:
        (repository / "new").mkdir()
        path = repository / "new" / "a"
        if kind == "file":
            path.write_text("mine\n")
        elif kind == "link":
            path.symlink_to(outside / "made")
        elif kind == "directory":
            (path / "b").mkdir(parents=True)
        else:
            os.mkfifo(path)
    done = apply(world, repository, "--yes")
    assert done.returncode == 1, done
    assert b"the patch does not fit" in done.stderr
    assert list(outside.iterdir()) == []


def test_check_changes_nothing_and_says_what_is_worth_a_look(world: FakeWorld, repository: Path) -> None:
    in_guest(world, EDITS + "mkdir -p .github/workflows; echo on: >.github/workflows/ci.yml; echo x >yarn.lock")
    before = tree_of(repository)
    done = apply(world, repository, "--check")
    assert done.returncode == 0
    assert tree_of(repository) == before
    told = done.stderr.decode()
    for text in (
        "D src/main.py",
        "M logo.png (binary)",
        "M run.sh (executable)",
        "It fits",
        "tests deleted",
        "yarn.lock",
    ):
        assert text in told
    kinds = {finding["kind"] for finding in succeed(world, repository, "--check")["review"]["findings"]}
    wanted = {"runs_by_itself", "tests_deleted", "new_binaries", "modes_changed", "links", "lock_files", "new_places"}
    assert wanted <= kinds


def test_nobody_is_asked_where_nobody_answers(world: FakeWorld, repository: Path) -> None:
    done = apply(world, repository)
    assert done.returncode == 2
    assert b"--yes" in done.stderr
    assert not (world.state / EXPORTS).exists()


@pytest.mark.parametrize(("answer", "status"), [("y", 0), ("n", 1), ("", 1)])
def test_the_patch_is_saved_before_the_question(world: FakeWorld, repository: Path, answer: str, status: int) -> None:
    in_guest(world, "echo a >a")
    ours, theirs = pty.openpty()
    with os.fdopen(ours, "wb", buffering=0) as keys:
        process = world.start("vm", "workspace", "apply", "box", cwd=repository, stdin=theirs)
        os.close(theirs)
        assert process.stderr is not None
        told = b""
        while b"[y/N]" not in told:
            told += os.read(process.stderr.fileno(), 4096)
        assert len(saved(world)) == 1
        assert not (repository / "a").exists()
        keys.write(answer.encode() + b"\n")
        told += process.communicate(timeout=60)[1]
    assert process.returncode == status, told
    assert (repository / "a").exists() == (status == 0)


def test_new_files_have_the_permissions_of_the_users_umask(world: FakeWorld, repository: Path) -> None:
    in_guest(world, "echo a >a; echo b >b; chmod +x b; mkdir d; echo c >d/c; echo more >>run.sh; chmod +x run.sh")
    (repository / "run.sh").chmod(0o640)
    words = ["vm", "workspace", "apply", "box", "--yes"]
    subprocess.run(
        ["sh", "-c", 'umask 027; exec "$@"', "-", *world.command, *words],
        env=world.environment,
        cwd=repository,
        check=True,
        capture_output=True,
    )
    modes = {name: stat.S_IMODE((repository / name).stat().st_mode) for name in ("a", "b", "d", "d/c", "run.sh")}
    assert modes == {"a": 0o640, "b": 0o750, "d": 0o750, "d/c": 0o640, "run.sh": 0o750}


def test_picked_paths_must_be_touched(world: FakeWorld, repository: Path) -> None:
    in_guest(world, "mkdir d; echo 1 >d/a; echo 2 >d/b; echo 3 >e")
    assert apply(world, repository, "--yes", "--pick", "nowhere").returncode == 3
    assert apply(world, repository, "--yes", "--pick", "../e").returncode == 2
    review = succeed(world, repository, "--yes", "--pick", "d", "e")["review"]
    assert review["file_count"] == 3


def test_an_unchanged_workspace_has_nothing_to_apply(world: FakeWorld, repository: Path) -> None:
    assert succeed(world, repository, "--yes")["applied"] is None
    assert b"nothing to apply" in apply(world, repository, "--yes").stderr


def test_status_tells_of_both_sides(world: FakeWorld, repository: Path) -> None:
    status = world.json("vm", "workspace", "status", "box")
    assert (status["guest_commits"], status["file_count"], status["host_changes"]) == (0, 0, 0)
    assert status["guest_head"] == status["host_head"] == status["copied_head"]
    in_guest(world, "echo a >a; git add -A; git commit -qm x; echo b >>a; git checkout -q -b topic")
    (repository / "run.sh").write_text("")
    status = world.json("vm", "workspace", "status", "box")
    assert (status["guest_commits"], status["guest_branch"], status["host_changes"]) == (1, "topic", 1)
    assert [(file["path"], file["change"], file["additions"]) for file in status["files"]] == [("a", "added", 2)]
    commit_all(repository)
    told = world.succeed("vm", "workspace", "status", "box").decode()
    assert "topic at" in told
    assert "1 new commit" in told
    assert "moved since the copy" in told
    assert "A a" in told


def test_status_of_a_repository_that_is_gone(world: FakeWorld, repository: Path) -> None:
    repository.rename(world.root / "elsewhere")
    assert b"cannot be read any more" in world.succeed("vm", "workspace", "status", "box")
    assert world.banger("vm", "workspace", "apply", "box", "--yes").returncode == 0  # nothing was changed there
    in_guest(world, "echo a >a")
    assert world.banger("vm", "workspace", "apply", "box", "--yes").returncode == 2


def test_diff(world: FakeWorld, repository: Path) -> None:
    in_guest(world, "printf 'a\\033[31m\\n' >a; printf '\\000' >b")
    exported = world.banger("vm", "workspace", "export", "box")
    patch = exported.stdout
    assert b"Worth a look:\n  text that does not look like what it is:\n    a\n" in exported.stderr
    assert world.succeed("vm", "workspace", "diff", "box") == patch
    assert world.succeed("vm", "workspace", "diff", "box", "--stat").decode().splitlines() == [
        "  A a  1 +",
        "  A b (binary)",
        "2 files changed, 1 line added, 0 removed",
    ]
    shown = subprocess.run(
        ["script", "-qec", " ".join([*world.command, "vm", "workspace", "diff", "box"]), "/dev/null"],
        env={**world.environment, "TERM": "dumb"},
        cwd=repository,
        capture_output=True,
        check=True,
    ).stdout
    assert b"\x1b" not in shown
    assert b"+a\\x1b[31m" in shown
    assert b"(binary content)" in shown
