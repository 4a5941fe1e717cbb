"""Every command in the documentation's pages works as it stands there, one after the other."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.component.example_world import ExampleWorld, make_project, shell
from tests.component.fake_world import FakeWorld
from tests.component.test_examples import type_into
from tests.component.test_life import until

from banger.cli.help import ROOT_PAGE

DOCS = Path(__file__).parents[2] / "docs"
README = DOCS.parent / "README.md"
# Until Ctrl-C; and nothing has written to the fake machine's console.
UNTIL_INTERRUPTED = ("vm", "forward")
# Pages that are sessions in one repository, from the first line to the last.
SESSIONS = ["first-five-minutes", "agents", "exec", "troubleshooting", "command-line", "json", "workspaces"]
STATUS = {
    "banger vm show nobody --json": {3},
    "banger doctor": {0, 1},  # what this computer lacks is no defect of the page
    "banger vm health box": {0, 1},  # the fake machine has no ssh server
}


def commands_of(page: str) -> list[str]:
    """Lines of indented blocks, without what follows `#`."""
    return commands_in(DOCS / f"{page}.md")


def commands_in(file: Path) -> list[str]:
    text = file.read_text()
    return re.findall(r"^    ((?:banger|git) .*?)(?: +# .*)?$", text, re.MULTILINE)


def test_the_life_of_a_vm(world: FakeWorld) -> None:
    lines = [shlex.split(line)[1:] for line in commands_of("vms")]
    assert len(lines) > 20
    world.keep_guests_apart()
    world.start_daemon()
    for words in lines:
        if tuple(words[:2]) == UNTIL_INTERRUPTED:
            process = world.start(*words)
            assert process.stdout is not None
            assert b"8080" in process.stdout.readline()
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=60)
        else:
            world.succeed(*words)
    until(lambda: world.vms() == [])


@pytest.fixture
def example_world(tmp_path: Path) -> Iterator[ExampleWorld]:
    world = ExampleWorld(tmp_path / "w", cache=tmp_path / "cache")
    yield world
    if names := [vm["name"] for vm in world.vms()]:
        world.succeed("vm", "delete", *names)
    world.check_nothing_left()
    world.end()
    subprocess.run(["rm", "-rf", world.root / "guest"], check=True)


@pytest.mark.parametrize("page", SESSIONS)
def test_a_session(example_world: ExampleWorld, tmp_path: Path, page: str) -> None:
    project = make_project(tmp_path / "project")
    world = example_world
    world.environment["API_KEY"] = "not a real one"
    lines = commands_of(page)
    assert len(lines) >= 3
    for line in lines:
        done = shell(world, line, project)
        assert done.returncode in STATUS.get(line, {0}), (line, done, world.log_tail())
        assert b"Traceback" not in done.stdout + done.stderr
    assert os.path.exists(project / "greeting.txt") == (page == "first-five-minutes")


def test_the_readme(example_world: ExampleWorld, tmp_path: Path) -> None:
    project = make_project(tmp_path / "project")
    lines = commands_in(README)
    assert len(lines) > 8
    for line in lines:
        if line == "banger vm ssh box":
            continue  # the fake machine has no ssh server: tests/vm/test_session.py
        if line == "banger vm run":
            status, output = type_into(example_world, line, project, "exit\n")
        else:
            done = shell(example_world, line, project)
            status, output = done.returncode, done.stdout + done.stderr
        assert status in STATUS.get(line, {0}), (line, output, example_world.log_tail())
        assert b"Traceback" not in output


def test_no_page_has_commands_that_nobody_runs() -> None:
    elsewhere = {"vms", "images"}  # above, and in test_docs_images.py
    front = {"index"}
    assert {command for page in front for command in commands_of(page)} <= {text for text, _ in ROOT_PAGE}
    having = {page.stem for page in DOCS.glob("*.md") if commands_in(page)}
    assert having == {*SESSIONS, *elsewhere, *front}
