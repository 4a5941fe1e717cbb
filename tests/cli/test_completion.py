"""Pressing Tab in the real shells, installing what they need for it, and how little it asks of a daemon."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest
from tests.cli.world import World
from tests.fakes.daemon import Exchange, FakeDaemon, view_vm

TAB = "\t"
CLEAR_LINE = "\x15"


@pytest.fixture
def program(world: World) -> Iterator[Path]:
    """A `banger` that completes, and otherwise writes down what it was called with, a word a line."""
    programs = world.cwd.parent / "programs"
    programs.mkdir()
    called = world.cwd.parent / "called"
    (programs / "banger").write_text(
        f'#!/bin/sh\ncase $1 in internal-complete) exec {sys.executable} -m banger "$@";; esac\n'
        f'printf "%s\\n" "$@" >{called}.new && mv {called}.new {called}\n'
    )
    (programs / "banger").chmod(0o755)
    yield called
    # Whatever was pressed, nothing of banger's came to be.
    assert not (world.home / "state").exists()


@pytest.fixture
def answering(daemon: FakeDaemon) -> FakeDaemon:
    daemon.answers("GET", "/v1/vms", {"vms": [view_vm("box"), view_vm("otter"), view_vm("x; reboot")]})
    daemon.answers("GET", "/v1/images", {"images": [{"name": "tiny"}, {"name": "$(reboot)"}]})
    daemon.answers("GET", "/v1/kernels", {"kernels": [{"name": "mine", "release": "6.1\x1b[2J"}]})
    entry = {"name": "debian-bookworm", "description": "Debian 12"}
    daemon.reports("/v1/images/available", [{"event": "notice", "text": ""}, {"result": {"entries": [entry]}}])
    return daemon


class Shell:
    """An interactive shell with banger's completion, on a terminal."""

    def __init__(self, name: str, world: World, *, load: str = "") -> None:
        arguments = {"bash": ["--norc", "-i"], "zsh": ["-f", "-i"], "fish": ["--no-config", "-i"]}[name]
        if not load:
            arguments = ["-i"]
        environment = {
            **world.environment,
            "PATH": f"{world.cwd.parent / 'programs'}:{os.environ['PATH']}",
            "TERM": "xterm",
            "PS1": "$ ",
            "XDG_CONFIG_HOME": str(world.cwd.parent / ".config"),
            "XDG_DATA_HOME": str(world.cwd.parent / ".local/share"),
        }
        self._called = world.cwd.parent / "called"
        self._child = pexpect.spawn(
            name, arguments, cwd=str(world.cwd), env=environment, timeout=60, dimensions=(24, 200), encoding="utf-8"
        )
        self._load = load

    def __enter__(self) -> Shell:
        if self._load:
            self._child.sendline(self._load)
        self.called_with("banger ready")
        return self

    def __exit__(self, *_: object) -> None:
        self._child.close(force=True)

    def called_with(self, keys: str) -> list[str]:
        """The words that `banger` was called with once these keys and Return were pressed."""
        self._called.unlink(missing_ok=True)
        self._child.send(keys + "\r")
        deadline_s = time.monotonic() + 60
        while not self._called.exists():
            assert time.monotonic() < deadline_s, self._child.before
            try:
                self._child.read_nonblocking(65536, timeout=0.05)  # or its terminal would be full one day
            except pexpect.TIMEOUT:
                continue
        return self._called.read_text().splitlines()


def load_line(shell: str, world: World) -> str:
    script = world.cwd.parent / f"script.{shell}"
    done = world.run("completion", shell)
    assert (done.returncode, done.stderr) == (0, b"")
    script.write_bytes(done.stdout)
    return f"source {script}"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_tab_in_a_real_shell(world: World, program: Path, answering: FakeDaemon, shell: str) -> None:
    (world.cwd / "notes one.txt").touch()
    (world.cwd / "sources").mkdir()
    with Shell(shell, world, load=load_line(shell, world)) as open_shell:
        assert open_shell.called_with(f"banger vm exec b{TAB}") == ["vm", "exec", "box"]
        assert open_shell.called_with(f"banger vm stop box o{TAB}-q") == ["vm", "stop", "box", "otter", "-q"]
        assert open_shell.called_with(f"banger vm sta{TAB}") == ["vm", "sta"]  # start or stats
        assert open_shell.called_with(f"banger vm run --im{TAB}t{TAB}") == ["vm", "run", "--image", "tiny"]
        assert open_shell.called_with(f"banger vm run --image=t{TAB}") == ["vm", "run", "--image=tiny"]
        directory = open_shell.called_with(f"banger vm run so{TAB}")[-1]
        assert directory.removesuffix("/") == "sources"  # zsh takes a slash away that nothing follows
        assert open_shell.called_with(f"banger kernel import not{TAB}") == ["kernel", "import", "notes one.txt"]
        assert open_shell.called_with(f"banger vm cp b{TAB}/etc/hosts not{TAB}") == [
            "vm", "cp", "box:/etc/hosts", "notes one.txt",
        ]  # fmt: skip
        assert open_shell.called_with(f"banger image pull d{TAB}") == ["image", "pull", "debian-bookworm"]
        assert open_shell.called_with(f"banger vm exec 'b{TAB}") == ["vm", "exec", "box"]  # the quotation is closed too
        assert open_shell.called_with(f"banger vm exec box -- ech{TAB}") == ["vm", "exec", "box", "--", "ech"]

        stranger = world.cwd / "banger"
        stranger.write_text("#!/bin/sh\ntouch canary\n")
        stranger.chmod(0o755)
        assert open_shell.called_with(f"./banger vm exec b{TAB}{CLEAR_LINE}banger ready") == ["ready"]
        assert not (world.cwd / "canary").exists()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_installed_it_works_in_the_next_shell(world: World, program: Path, answering: FakeDaemon, shell: str) -> None:
    home = world.cwd.parent
    if shell == "bash":  # what Debian's /etc/bash.bashrc has in a comment
        (home / ".bashrc").write_text(". /usr/share/bash-completion/bash_completion\n")
    if shell == "zsh":
        (home / ".zshrc").write_text("# mine")
    done = world.run("completion", "install", "--shell", shell)
    assert (done.returncode, done.stderr) == (0, b"")
    with Shell(shell, world) as open_shell:
        assert open_shell.called_with(f"banger vm exec b{TAB}") == ["vm", "exec", "box"]
    again = world.run("completion", "install", "--shell", shell)
    assert again.stdout.startswith(b"already in ")
    assert world.run("completion", "uninstall", "--shell", shell).returncode == 0
    assert [path for path in home.rglob("*banger*") if path.is_file() and path.parent.name != "programs"] == []
    if shell == "zsh":
        assert (home / ".zshrc").read_text() == "# mine\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_without_a_daemon_it_is_silent_and_starts_none(world: World, shell: str) -> None:
    words = ["banger vm exec ", "=:"] if shell == "bash" else ["vm", "exec", ""]
    done = world.run("internal-complete", shell, "--", *words)
    assert (done.returncode, done.stdout, done.stderr) == (0, b":\n", b"")
    assert not world.home.exists()


def test_a_daemon_that_does_not_answer_is_left_alone(world: World, daemon: FakeDaemon) -> None:
    ended = []

    def wait(exchange: Exchange) -> None:
        ended.append(exchange.connection.recv(1))

    daemon.on("GET", "/v1/vms", wait)
    done = world.run("internal-complete", "fish", "--", "vm", "exec", "")
    assert (done.returncode, done.stdout, done.stderr) == (0, b":\n", b"")
    while not ended:
        time.sleep(0.01)
    assert ended == [b""]


def test_the_jobs_of_a_vm(world: World, answering: FakeDaemon) -> None:
    job = {"job": 3, "state": "running", "command": ["make", "\x1b[2Jtest"]}
    answering.answers("GET", "/v1/vms/box/jobs", {"jobs": [job]})
    done = world.run("internal-complete", "fish", "--", "vm", "jobs", "logs", "box", "")
    assert done.stdout == b":\n3\trunning: make \\x1b[2Jtest\n"
    done = world.run("internal-complete", "fish", "--", "vm", "jobs", "logs", "../../x", "")
    assert (done.stdout, done.stderr) == (b":\n", b"")


def test_names_that_are_none_reach_no_shell(world: World, answering: FakeDaemon) -> None:
    done = world.run("internal-complete", "fish", "--", "vm", "exec", "")
    assert done.stdout == b":\nbox\trunning\notter\trunning\n"
    assert world.run("internal-complete", "fish", "--", "image", "show", "").stdout == b":\ntiny\timage\n"
    assert b"\x1b" not in world.run("internal-complete", "zsh", "--", "kernel", "show", "").stdout


@pytest.mark.parametrize("environment", [{"HOME": "", "BANGER_HOME": ""}, {"BANGER_HOME": "relative"}])
def test_a_strange_environment_is_no_reason_to_speak(world: World, environment: dict[str, str]) -> None:
    done = world.run("internal-complete", "fish", "--", "vm", "exec", "", environment=environment)
    assert (done.returncode, done.stdout, done.stderr) == (0, b":\n", b"")


def test_the_scripts_are_sound(world: World) -> None:
    for shell in ("bash", "zsh", "fish"):
        script = world.run("completion", shell).stdout
        check = subprocess.run([shell, "-n"], input=script, capture_output=True, check=False)
        assert (check.returncode, check.stderr) == (0, b"")


def test_which_shell_is_meant(world: World) -> None:
    done = world.run("completion", "install", environment={"SHELL": "/bin/tcsh"})
    assert (done.returncode, b"there is no completion for 'tcsh'" in done.stderr) == (2, True)
    done = world.run("completion", "install", environment={"SHELL": "/usr/bin/fish"})
    assert done.returncode == 0
    assert (world.cwd.parent / ".config/fish/completions/banger.fish").is_file()
