"""`vm run` of a repository with a devcontainer.json, in guests that are this host."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from tests.component.fake_world import FakeWorld
from tests.world import commit_all, git


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    path = tmp_path / "project"
    path.mkdir()
    git(path, "init", "-q", "-b", "main")
    (path / "README.md").write_text("hello\n")
    commit_all(path)
    return path


@pytest.fixture
def world_apart(world: FakeWorld) -> FakeWorld:
    world.keep_guests_apart()
    world.start_daemon()
    return world


def describe(repository: Path, document: dict[str, Any]) -> str:
    document = {"workspaceFolder": "/srv/${localWorkspaceFolderBasename}", **document}  # a place that guests have apart
    text = json.dumps(document, indent=1).replace("{", "{ // begins here", 1)
    (repository / ".devcontainer.json").write_text(text)
    commit_all(repository)
    return str(repository)


def test_what_the_file_asks_for_is_done(world_apart: FakeWorld, repository: Path) -> None:
    path = describe(
        repository,
        {
            "image": "registry.example/dev:1",
            "containerEnv": {"GREETING": "hello ${containerWorkspaceFolderBasename}"},
            "postCreateCommand": "echo made in $PWD with $GREETING; echo made > made",
            "forwardPorts": [3000],
            "customizations": {"editor": {}},
        },
    )
    done = world_apart.banger("vm", "run", "-d", "--name", "box", path)
    said = done.stderr.decode()
    assert (done.returncode, done.stdout) == (0, b"box\n"), done
    assert "made in /srv/project with hello project" in said
    assert "banger vm forward box 3000" in said
    assert "customizations" in said
    (vm,) = world_apart.vms()
    assert (vm["image"], vm["workspaces"][0]["guest_path"]) == ("dev-1", "/srv/project")
    world_apart.restart_daemon()
    told = world_apart.succeed("vm", "exec", "box", "--", "sh", "-c", "echo $GREETING; pwd; cat made README.md")
    assert told == b"hello project\n/srv/project\nmade\nhello\n"
    assert (
        world_apart.succeed("vm", "exec", "box", "-e", "GREETING=bye", "--", "sh", "-c", "echo $GREETING") == b"bye\n"
    )


def test_a_command_that_fails_and_what_the_user_says_instead(world_apart: FakeWorld, repository: Path) -> None:
    path = describe(
        repository, {"image": "registry.example/dev:1", "postCreateCommand": ["sh", "-c", "echo no; exit 4"]}
    )
    done = world_apart.banger("vm", "run", "--rm", path, "--", "echo", "ran")
    assert (done.returncode, done.stdout) == (1, b""), done
    assert b"status 4" in done.stderr
    assert world_apart.vms() == []
    ran = world_apart.succeed(
        "vm",
        "run",
        "-q",
        "--name",
        "box",
        "--no-bootstrap",
        path,
        "--",
        "sh",
        "-c",
        "pwd; cat .devcontainer.json | head -c 1",
    )
    assert ran == b"/root/project\n{"
    assert world_apart.vms()[0]["image"] == "fake"


@pytest.mark.skipif(os.geteuid() != 0, reason="a guest whose root is a mapped user has only that user")
def test_another_user(world_apart: FakeWorld, repository: Path) -> None:
    path = describe(repository, {"remoteUser": "nobody", "postCreateCommand": "id -un > made"})
    world_apart.succeed("vm", "run", "-q", "-d", "--name", "box", path)
    told = world_apart.succeed(
        "vm", "exec", "box", "--", "sh", "-c", "cat made; id -un; stat -c %U README.md; echo more >> README.md"
    )
    assert told == b"nobody\nnobody\nnobody\n"
    (repository / "new").write_text("new\n")
    commit_all(repository)
    told = world_apart.succeed("vm", "exec", "box", "--auto-prepare", "--", "sh", "-c", "echo mine >> new; cat new")
    assert told == b"new\nmine\n"
    patch = world_apart.succeed("vm", "workspace", "export", "box")
    assert b"+more" in patch
    assert world_apart.succeed("vm", "exec", "box", "--user", "root", "--", "id", "-un") == b"root\n"
    missing = describe(repository, {"remoteUser": "somebody"})
    done = world_apart.banger("vm", "run", "-d", missing)
    assert (done.returncode, b"somebody" in done.stderr) == (1, True), done
    assert [vm["name"] for vm in world_apart.vms()] == ["box"]


@pytest.mark.parametrize(
    ("document", "word"),
    [
        ({"features": {"ghcr.io/x/y:1": {}}}, b"features"),
        ({"build": {"dockerfile": "Dockerfile"}}, b"Dockerfile"),
        ({"containerEnv": {"TOKEN": "${localEnv:HOME}"}}, b"localEnv:HOME"),
        ({"image": 3}, b"image"),
    ],
)
def test_what_is_refused_is_refused_before_anything_exists(
    world_apart: FakeWorld, repository: Path, document: dict[str, Any], word: bytes
) -> None:
    done = world_apart.banger("vm", "run", "-d", describe(repository, document))
    assert done.returncode == 2, done
    assert word in done.stderr
    assert b"--no-bootstrap" in done.stderr
    assert str(world_apart.root).encode() not in done.stderr.replace(str(repository).encode(), b"")
    world_apart.check_nothing_left()


def test_a_dry_run_says_where_it_would_go_or_what_is_refused(world: FakeWorld, repository: Path) -> None:
    plan = ("vm", "run", "--dry-run", "--json", describe(repository, {"workspaceFolder": "/srv/x"}))
    assert world.json(*plan[:-2], plan[-1])["guest_path"] == "/srv/x"
    assert world.json("vm", "run", "--dry-run", "--no-bootstrap", plan[-1])["guest_path"] == "/root/project"
    refused = world.banger("vm", "run", "--dry-run", describe(repository, {"features": {"x": {}}}))
    assert (refused.returncode, b"features" in refused.stderr) == (2, True), refused
