"""A banger of its own for a test: directories, daemon, and the proof afterwards that nothing is left."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from tests.json_outputs import check_output

from banger.core.layout import Layout
from banger.core.leaks import find_leaks, look_around

REPOSITORY = Path(__file__).resolve().parent.parent


def kept_cache() -> Path:
    """Where images and kernels are kept between tests and runs."""
    path = Path(os.environ.get("BANGER_TEST_CACHE") or REPOSITORY / ".cache" / "test")
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


@contextmanager
def timed_start() -> Iterator[None]:
    """Note how long the start of a daemon takes, for whoever counts it: seconds, a line each, in BANGER_TEST_TIMES."""
    began_s = time.monotonic()
    yield
    if path := os.environ.get("BANGER_TEST_TIMES"):
        with Path(path).open("a") as file:
            file.write(f"{time.monotonic() - began_s:.3f}\n")


def until(condition: Callable[[], object], *, deadline_s: float = 120) -> None:
    """Wait for something that will come about."""
    end_s = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < end_s
        time.sleep(0.1)


class World:
    """Runs the real command line in an environment of its own."""

    def __init__(self, root: Path, *, cache: Path, extra: Mapping[str, str] | None = None) -> None:
        self.root = root
        self.state = root / "state" / "banger"
        self.run_directory = root / "run" / "banger"
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(root),
            "LANG": "C.UTF-8",
            "XDG_STATE_HOME": str(root / "state"),
            "XDG_CONFIG_HOME": str(root / "config"),
            "XDG_RUNTIME_DIR": str(root / "run"),
            "XDG_CACHE_HOME": str(cache),
            "GIT_CONFIG_GLOBAL": "/dev/null",
            **(extra or {}),
        }

    @property
    def command(self) -> list[str]:
        return [sys.executable, "-m", "banger"]

    def banger(
        self, *arguments: str, stdin: bytes | None = None, cwd: Path | None = None, timeout_s: float = 280
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a command to its end."""
        return subprocess.run(
            [*self.command, *arguments],
            env=self.environment,
            cwd=cwd or self.root,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            timeout=timeout_s,
            check=False,
        )

    def succeed(self, *arguments: str, **options: Any) -> bytes:
        """Run a command that must succeed; its output."""
        done = self.banger(*arguments, **options)
        assert done.returncode == 0, (
            arguments,
            done.returncode,
            done.stdout[-2000:],
            done.stderr[-2000:],
            self.log_tail(),
        )
        return done.stdout

    def json(self, *arguments: str) -> Any:
        """The document that a command prints, which is as promised."""
        document = json.loads(self.succeed(*arguments, "--json"))
        check_output(arguments, document)
        return document

    def vms(self) -> list[dict[str, Any]]:
        """All machines."""
        listed: list[dict[str, Any]] = self.json("vm", "list")["vms"]
        return listed

    def start(self, *arguments: str, cwd: Path | None = None, **options: Any) -> subprocess.Popen[bytes]:
        """Begin a command."""
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        return subprocess.Popen(
            [*self.command, *arguments], env=self.environment, cwd=cwd or self.root, start_new_session=True, **pipes
        )

    def daemon_pid(self) -> int | None:
        """The daemon of this world, if one runs."""
        for pid in _pids():
            environ = _read(f"/proc/{pid}/environ")
            cmdline = _read(f"/proc/{pid}/cmdline")
            if f"XDG_STATE_HOME={self.root}/state".encode() in environ.split(b"\0") and b"banger.daemon" in cmdline:
                return pid
        return None

    def processes(self) -> list[tuple[int, bytes]]:
        """Every process that belongs to this world, except those of the test itself."""
        mark = str(self.root).encode()
        found = []
        for pid in _pids():
            if pid == os.getpid():
                continue
            try:
                cwd = os.fsencode(os.readlink(f"/proc/{pid}/cwd"))
            except OSError:
                cwd = b""
            cmdline = _read(f"/proc/{pid}/cmdline")
            if cmdline and (mark in cmdline or cwd.startswith(mark) or mark in _read(f"/proc/{pid}/environ")):
                found.append((pid, cmdline.replace(b"\0", b" ")))
        return found

    def wait_for_daemon_end(self, pid: int) -> None:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            if not _read(f"/proc/{pid}/cmdline"):
                return
            time.sleep(0.02)
        raise AssertionError("the daemon does not end")

    def rows(self, table: str) -> int:
        database = self.state / "banger.db"
        if not database.exists():
            return 0
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
            return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])

    def log_tail(self) -> str:
        try:
            return (self.state / "daemon.log").read_text()[-3000:]
        except OSError:
            return ""

    def check_nothing_left(self) -> None:
        """No machine, no process but the daemon, no socket, no directory, no row."""
        # A second daemon that was started in vain says so and goes; the agent of a fake VMM is killed with its VMM, and
        # on a busy computer is seen in its last moment.
        deadline = time.monotonic() + 10
        while (
            left := [entry for entry in self.processes() if entry[0] != self.daemon_pid()]
        ) and time.monotonic() < deadline:
            assert all(b"banger.daemon" in command or b"--serve-fd" in command for _, command in left), (
                left,
                self.log_tail(),
            )
            time.sleep(0.05)
        assert left == [], (left, self.log_tail())
        # The cache is kept, and others may be at work in it.
        layout = Layout(
            config=self.root / "config" / "banger", state=self.state, cache=self.root / "none", run=self.run_directory
        )
        seen = look_around(layout, now_s=time.time(), builds=self.root / "none")
        leaks = find_leaks(seen, {}, patience_s=0)
        assert leaks == (), (leaks, self.log_tail())
        assert self.rows("vm") == 0, self.log_tail()
        assert self.rows("step") == 0, self.log_tail()

    def end(self) -> None:
        """Stop the daemon and check that not even it is left."""
        try:
            self.banger("daemon", "stop", timeout_s=60)
        finally:
            daemon = self.daemon_pid()
            if daemon is not None:
                self.wait_for_daemon_end(daemon)
        left = self.processes()
        for pid, _ in left:
            os.kill(pid, 9)
        assert left == [], left
        sockets = list(self.root.rglob("*.sock"))
        assert sockets == [], sockets


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdecimal()]


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError:
        return b""


def git(cwd: Path, *arguments: str, stdin: bytes | None = None) -> bytes:
    """Run git as a user would, with an identity."""
    identity = {
        "GIT_AUTHOR_NAME": "T",
        "GIT_AUTHOR_EMAIL": "t@example.org",
        "GIT_COMMITTER_NAME": "T",
        "GIT_COMMITTER_EMAIL": "t@example.org",
    }
    return subprocess.run(
        ["git", *arguments],
        cwd=cwd,
        env={**os.environ, **identity, "GIT_CONFIG_GLOBAL": "/dev/null"},
        input=stdin,
        capture_output=True,
        check=True,
    ).stdout


def commit_all(cwd: Path, message: str = "change") -> None:
    git(cwd, "add", "-A")
    git(cwd, "commit", "-q", "-m", message)
