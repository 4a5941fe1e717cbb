"""The crash sweep over workspaces on their way in and out."""

from __future__ import annotations

from typing import Any, cast

import pytest
from tests.component.fake_world import FakeWorld
from tests.component.test_crashes import LAYOUT, RECORD
from tests.contract.workspace_world import tree_of
from tests.world import commit_all, git

from banger.daemon.failpoints import POINTS
from banger.daemon.journal import nothing
from banger.daemon.operations.applying import ApplyPatch
from banger.daemon.operations.exporting import ExportWorkspace
from banger.daemon.operations.fetching import FetchCommits
from banger.daemon.operations.importing import ImportWorkspace
from banger.daemon.operations.updating import UpdateWorkspace

NOBODY = cast("Any", None)
ACTIONS = ("kill", "enospc", "eio")
RUN = ("vm", "run", "-d", "--name", "box", ".")


def points() -> list[str]:
    copying_in = ImportWorkspace(layout=LAYOUT, journal=NOBODY, known_files=NOBODY).steps(
        RECORD, RECORD, nothing, nothing, nothing
    )
    copying_out = ExportWorkspace(scratch=LAYOUT.scratch, journal=NOBODY, supervisor=NOBODY).steps(
        LAYOUT.scratch / "x", nothing, nothing
    )
    return [
        f"{kind}.{step.name}.{point}"
        for kind, steps in (("import", copying_in), ("export", copying_out))
        for step in steps
        for point in POINTS
    ]


def update_points() -> list[str]:
    steps = UpdateWorkspace(layout=LAYOUT, journal=NOBODY, known_files=NOBODY).steps(
        RECORD, RECORD, stage=(nothing, nothing), apply=nothing, sync=nothing, write_known=nothing
    )
    return [f"update.{step.name}.{point}" for step in steps for point in POINTS]


@pytest.fixture
def world(world: FakeWorld) -> FakeWorld:
    """Guests that have a /root of their own on this host, and a repository."""
    world.keep_guests_apart()
    repository = world.root / "repo"
    repository.mkdir()
    git(repository, "init", "-q")
    (repository / "file").write_text("one\n")
    commit_all(repository)
    return world


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("point", points())
def test_a_workspace_arrives_or_leaves_whole_or_not_at_all(world: FakeWorld, point: str, action: str) -> None:
    repository = world.root / "repo"
    coming = point.startswith("import.")
    if coming:
        world.start_daemon(failpoints=f"{point}={action}")
        failed = world.banger(*RUN, cwd=repository)
    else:
        world.start_daemon()
        world.succeed(*RUN, cwd=repository)
        world.succeed("vm", "exec", "box", "--", "sh", "-c", "echo two >>file; echo new >other")
        world.kill_daemon()
        world.start_daemon(failpoints=f"{point}={action}")
        failed = world.banger("vm", "workspace", "export", "box", "--output", str(world.root / "patch"))
    assert failed.returncode != 0
    assert b"Traceback" not in failed.stderr
    assert not (world.root / "patch").exists()
    if action == "kill":
        world.wait_for_death()
        world.start_daemon()
    if coming:
        assert world.vms() == []
        world.check_nothing_left()
        world.succeed(*RUN, cwd=repository)
        assert world.succeed("vm", "exec", "box", "--", "cat", "file") == b"one\n"
    else:
        assert not any(world.run_directory.joinpath("scratch").glob("*"))
        patch = world.succeed("vm", "workspace", "export", "box")
        assert b"+two" in patch
        assert b"+new" in patch


@pytest.mark.parametrize(
    ("point", "action"),
    [
        (point, action)
        for point in update_points()
        for action in ("kill", "enospc")
        if action == "kill" or point.endswith("after_act")
    ],
)
def test_a_workspace_that_is_brought_up_to_date_can_be_so_again(world: FakeWorld, point: str, action: str) -> None:
    repository = world.root / "repo"
    world.start_daemon()
    world.succeed(*RUN, cwd=repository)
    world.kill_daemon()
    (repository / "file").write_text("two\n")
    world.start_daemon(failpoints=f"{point}={action}")
    failed = world.banger("vm", "workspace", "prepare", "box", ".", cwd=repository)
    assert failed.returncode != 0
    assert b"Traceback" not in failed.stderr
    if action == "kill":
        world.wait_for_death()
        world.start_daemon()
    seen = world.succeed("vm", "exec", "box", "--", "cat", "file")
    points = update_points()
    assert seen == (b"one\n" if points.index(point) < points.index("update.apply.after_act") else b"two\n")
    world.succeed("vm", "workspace", "prepare", "box", ".", cwd=repository)
    assert world.succeed("vm", "exec", "box", "--", "cat", "file") == b"two\n"
    assert world.succeed("vm", "exec", "box", "--", "git", "status", "--porcelain") == b" M file\n"
    left = world.succeed("vm", "exec", "box", "--", "sh", "-c", "ls -d .git/banger-* || true")
    assert left == b""


def apply_points() -> list[str]:
    steps = ApplyPatch(layout=LAYOUT, journal=NOBODY).steps(LAYOUT.applies / "x", nothing, nothing)
    return [f"apply.{step.name}.{point}" for step in steps for point in POINTS]


EDIT = "echo two >>file; mkdir -p d; echo new >d/other; rm gone; ln -sf d link; chmod +x file"


@pytest.mark.parametrize("action", ["kill", "enospc"])
@pytest.mark.parametrize("point", apply_points())
def test_a_patch_arrives_whole_or_not_at_all(world: FakeWorld, point: str, action: str) -> None:
    repository = world.root / "repo"
    (repository / "gone").write_text("gone\n")
    (repository / "link").symlink_to("file")
    commit_all(repository)
    before = tree_of(repository)
    world.start_daemon()
    world.succeed(*RUN, cwd=repository)
    world.succeed("vm", "exec", "box", "--", "sh", "-c", EDIT)
    world.kill_daemon()
    world.start_daemon(failpoints=f"{point}={action}")
    failed = world.banger("vm", "workspace", "apply", "box", "--yes")
    assert failed.returncode != 0
    assert b"Traceback" not in failed.stderr
    if action == "kill":
        world.wait_for_death()
        world.start_daemon()
    assert tree_of(repository) == before
    assert not any((world.state / "applies").glob("*"))
    assert world.rows("step") == 0
    world.succeed("vm", "workspace", "apply", "box", "--yes")
    assert sorted(tree_of(repository)) == [b"d/other", b"file", b"link"]


def fetch_points() -> list[str]:
    steps = FetchCommits(layout=LAYOUT, journal=NOBODY, supervisor=NOBODY).steps(LAYOUT.applies / "x", nothing, nothing)
    return [f"fetch.{step.name}.{point}" for step in steps for point in POINTS]


@pytest.mark.parametrize(
    ("action", "point"),
    [("kill", point) for point in fetch_points()]
    + [("enospc", point) for point in fetch_points() if point.endswith("after_act")],
)
def test_commits_arrive_whole_or_not_at_all(world: FakeWorld, point: str, action: str) -> None:
    repository = world.root / "repo"
    world.start_daemon()
    world.succeed(*RUN, cwd=repository)
    commit = "git -c user.name=x -c user.email=x commit -qam more"
    world.succeed("vm", "exec", "box", "--", "sh", "-c", f"echo two >>file; {commit}")
    world.kill_daemon()
    world.start_daemon(failpoints=f"{point}={action}")
    failed = world.banger("vm", "workspace", "fetch", "box")
    assert failed.returncode != 0
    assert b"Traceback" not in failed.stderr
    if action == "kill":
        world.wait_for_death()
        world.start_daemon()
    points = fetch_points()
    found = git(repository, "for-each-ref", "--format=%(refname)", "refs/heads/banger/").split()
    assert bool(found) == (points.index(point) >= points.index("fetch.branches.after_act"))
    assert not any((world.state / "applies").glob("*"))
    world.succeed("vm", "workspace", "fetch", "box")
    assert b"+two" in git(
        repository,
        "show",
        git(repository, "for-each-ref", "--format=%(objectname)", "refs/heads/banger/").decode().strip(),
    )
    git(repository, "fsck", "--strict")


def test_nobody_waits_for_the_disk_of_a_vm_that_is_thrown_away(world: FakeWorld) -> None:
    """The sweep shows that the same point is reached without `--rm`."""
    world.start_daemon(failpoints="import.sync.before_intent=kill")
    said = world.succeed("vm", "run", "--rm", ".", "--", "cat", "file", cwd=world.root / "repo")
    assert said == b"one\n"
