"""Every example that a help page prints does what it says: through a shell, as a user types it, in a git repository.

The daemon is the real one on a fake VMM, whose guests run on this host with directories of their own where the examples
write. What that cannot do is listed here by name, with who does it instead.
"""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from tests.component.example_world import ExampleWorld, make_project, shell
from tests.json_outputs import check_output

from banger.cli.help import ROOT_PAGE
from banger.cli.main import load
from banger.cli.table import COMMANDS, GROUPS

NOT_HERE = {
    "banger update --check": "this banger runs from a checkout: test_updating.py",
    "banger update --dry-run": "the same",
    "banger update": "the same",
    "banger update --to 0.2.0": "the same",
    "banger system install": "would be a service of whoever runs the tests: test_service.py",
    "banger system install --json": "the same",
    "banger system uninstall --purge": "removes what other examples use: test_service.py",
    "banger system uninstall --purge -f": "the same",
    "banger vm ssh box": "needs the guest's ssh server: tests/vm/test_session.py",
    "banger vm ssh box -- uptime": "the same",
    "banger vm start box --wait ssh": "the same",
    "scp -F box.conf notes.txt box.banger:": "the same",
    "rsync -e 'ssh -F box.conf' -a src box.banger:": "the same",
    "ssh box.vm uptime": "the same",
    "rsync -a src box.vm:src": "the same",
    "code --remote ssh-remote+box.vm /root/project": "an editor",
    "banger doctor --fix": "installs packages on this computer: tests/cli/test_requests_and_answers.py",
    "banger completion fish | source": "the line of another shell: tests/cli/test_completion.py",
    "banger vm forward box 8080": "a port of this computer that somebody else may have: test_forward.py",
    "banger vm forward box 18080:80 15432:5432": "the same",
}
TERMINAL = {  # what is typed
    "banger vm run": "exit\n",
    "banger vm run --nat --vcpu 4 --memory 8G --disk 50G": "exit\n",
    "banger vm exec box": "exit\n",
    "banger vm exec box -t -- top": "q",
    "banger vm workspace apply box": "y\n",
}
ENDLESS = {  # what is printed before somebody presses Ctrl-C
    "banger vm logs box -f": b"Linux begins",
    "banger vm logs box otter -f -n 0": b"",
    "banger vm forward box 0:80 --json": b"127.0.0.1",
    "banger vm ping box -c 100 --json": b"",
}
STATUS = {
    "banger vm run --rm . -- sh -c 'exit 42'": {42},
    "banger doctor": {0, 1},  # what this computer lacks is no defect of the example
    "banger doctor --json": {0, 1},
}
MINE = "{ banger kernel show mine || banger kernel import bzImage --name mine --config .config; } >/dev/null 2>&1"
JOB = "banger vm exec box --detach -- echo out >/dev/null"
BEFORE = {  # what has to be so first; a VM that an example names exists and runs
    "banger daemon status": "banger vm list >/dev/null",
    "banger vm start": "banger vm stop $VMS",
    "banger vm jobs list": JOB,
    "banger vm jobs logs": JOB,
    "banger vm jobs wait": f"{JOB}; {JOB}",
    "banger vm jobs kill": "banger vm exec box --detach -- sleep 60 >/dev/null",
    "banger vm resume": "banger vm pause $VMS",
    "banger vm prune": "banger vm stop $VMS",
    "banger image import": "{ banger image delete -q tiny app 2>/dev/null || true; }",
    "xz -dc rootfs.tar.xz": "{ banger image delete -q tiny 2>/dev/null || true; }",
    "banger image save": "banger vm stop box && { banger image delete -q tools 2>/dev/null || true; }",
    "banger image build": "{ banger image delete -q tools 2>/dev/null || true; }",
    "banger vm run --image tools": "{ banger image show tools || banger image build tools.toml --name tools; } >/dev/null 2>&1",
    "banger vm run --image tiny": "{ banger image show tiny || banger image import rootfs.tar --name tiny; } >/dev/null 2>&1",
    "banger image register": "{ banger image delete -q mine 2>/dev/null || true; }",
    "banger image promote": "{ banger image delete -q mine || true; banger image register rootfs.ext4 --name mine; } >/dev/null 2>&1",
    "banger image export": "{ banger image show tiny || banger image import rootfs.tar --name tiny; } >/dev/null 2>&1",
    "banger image delete": "{ banger image show alpine-3-20 || banger image pull alpine:3.20; } >/dev/null 2>&1"
    " && { banger image show tiny || banger image import rootfs.tar --name tiny; } >/dev/null 2>&1",
    "banger image show": "banger image pull -q",
    "banger kernel show": "banger kernel pull -q",
    "banger kernel import": "{ banger kernel rm -q mine plain 2>/dev/null || true; }",
    "banger kernel rm": MINE,
    "banger vm run --kernel mine": MINE,
    "banger vm run --locked": "banger lock -q",
    "git apply": "banger vm exec box -- sh -c 'echo more >> notes.txt' && banger vm workspace export box -q -o fix.patch",
    "banger vm workspace": "banger vm exec box -- sh -c 'echo more >> notes.txt; echo more >> src/main.c'",
}
ONLY_ROOT = {"banger vm exec box --user nobody --cwd /tmp -- id"}


def all_examples() -> list[str]:
    """Of every page; lines between them that end with a colon are text."""
    pages = [ROOT_PAGE, *(group.page for group in GROUPS)]
    pages += [load(command).EXAMPLES for command in COMMANDS if not command.hidden]
    return sorted(
        {text for page in pages for text, _ in page if " " in text and (text[-1] not in ":?" or "-F" in text)}
    )


@pytest.fixture(scope="module")
def shared_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ExampleWorld]:
    root = tmp_path_factory.mktemp("examples")
    world = ExampleWorld(root / "w", cache=root / "cache")
    yield world
    world.end()


@pytest.fixture
def world(shared_world: ExampleWorld, tmp_path: Path) -> Iterator[ExampleWorld]:
    yield shared_world
    if names := [vm["name"] for vm in shared_world.vms()]:
        shared_world.succeed("vm", "delete", *names)
    shared_world.check_nothing_left()
    subprocess.run(["rm", "-rf", shared_world.root / "guest"], check=True)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return make_project(tmp_path / "project")


def plan_setup(example: str) -> str:
    """The commands that make what the example takes for granted."""
    words = re.findall(r"[a-z]+", example)
    names = [name for name in ("box", "otter") if name in words or "$(banger vm list" in example]
    if example.startswith(("banger vm run", "banger vm create")):
        names = []
    if example.startswith("git apply"):
        names = ["box"]
    commands = [f"banger vm run -q -d --name {name} . >/dev/null" for name in names]
    for beginning, command in BEFORE.items():
        if example.startswith(beginning) and (names or "$VMS" not in command):
            commands.append(command.replace("$VMS", " ".join(names)))
    return " && ".join(commands) or "true"


@pytest.mark.parametrize("example", [example for example in all_examples() if example not in NOT_HERE])
def test_an_example_does_what_it_says(world: ExampleWorld, repository: Path, example: str) -> None:
    if example in ONLY_ROOT and os.geteuid() != 0:
        pytest.skip("a guest whose root is a mapped user has only that user")
    prepared = shell(world, plan_setup(example), repository)
    assert prepared.returncode == 0, (prepared, world.log_tail())
    if example in TERMINAL:
        status, output = type_into(world, example, repository, TERMINAL[example])
    elif example in ENDLESS:
        status, output = interrupt(world, example, repository, ENDLESS[example])
    else:
        done = shell(world, example, repository)
        status, output = done.returncode, done.stdout + done.stderr
    assert status in STATUS.get(example, {0}), (output, world.log_tail())
    assert b"Traceback" not in output
    if example.endswith("--json") and example not in ENDLESS and "|" not in example:
        check_output(example.split()[1:], json.loads(done.stdout))


def test_what_is_listed_by_name_is_an_example() -> None:
    listed = {*NOT_HERE, *TERMINAL, *ENDLESS, *STATUS, *ONLY_ROOT}
    assert listed <= set(all_examples())
    assert all(any(example.startswith(beginning) for example in all_examples()) for beginning in BEFORE)


def interrupt(world: ExampleWorld, line: str, cwd: Path, sign: bytes) -> tuple[int, bytes]:
    """Run something that does not end by itself until it has printed `sign`, and press Ctrl-C."""
    with subprocess.Popen(
        ["bash", "-c", f"exec {line}"],
        cwd=cwd,
        env=world.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        assert process.stdout is not None
        output = b""
        try:
            while sign not in output and (data := os.read(process.stdout.fileno(), 65536)):
                output += data
            if not sign:
                time.sleep(1)
            process.send_signal(signal.SIGINT)
            output += process.stdout.read()
        finally:
            process.kill()
    assert sign in output, output
    return 0 if process.returncode in (0, 130, -signal.SIGINT) else process.returncode, output


def type_into(world: ExampleWorld, line: str, cwd: Path, keys: str) -> tuple[int, bytes]:
    """Run something on a terminal, and type when it has begun to print."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        ["setsid", "--ctty", "--wait", "bash", "-c", line],
        cwd=cwd,
        env=world.environment,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    output = b""
    typed = False
    try:
        with suppress(OSError):  # EIO: nobody has the terminal any more
            while data := os.read(ours, 65536):
                output += data
                if not typed and any(sign in output for sign in (b"#", b"$", b"PID", b"[y/N]")):
                    typed = True
                    os.write(ours, keys.encode())
        return process.wait(60), output
    finally:
        process.kill()
        process.wait()
        os.close(ours)
