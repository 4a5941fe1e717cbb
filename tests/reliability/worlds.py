"""Worlds whose daemon anybody may kill, and who belongs to them."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tests.reliability.api import FAKE_DAEMON, REAL_DAEMON, Api
from tests.world import World, kept_cache

__all__ = ["FAKE_DAEMON", "REAL_DAEMON", "LooseWorld", "kill", "reap", "until"]


class LooseWorld(World):
    """A world in which no test starts the daemon: whoever needs one does, as the command line would."""

    def __init__(self, root: Path, *, module: str = FAKE_DAEMON) -> None:
        super().__init__(root, cache=kept_cache() if module == REAL_DAEMON else root / "cache")
        root.mkdir(parents=True, exist_ok=True)
        self._module = module
        if module == REAL_DAEMON:
            self.succeed("image", "pull", timeout_s=1800)

    def api(self) -> Api:
        return Api(self, module=self._module)

    def daemon_pid(self) -> int | None:
        found = [pid for pid, command in self.processes() if self._module.encode() in command]
        return found[0] if found else None

    def vmm_of(self) -> dict[str, int]:
        """The fake VMMs that run, by their VM's id."""
        found = {}
        for pid, command in self.processes():
            words = command.split()
            if any(word.endswith(b"fakes/vmm.py") for word in words):
                found[words[-1].decode().removeprefix("banger-")] = pid
        return found

    def delete_all(self) -> None:
        """Delete all VMs, prove that nothing is left, end the daemon, and prove that not even it is."""
        api = self.api()
        for vm in api.vms():
            api.act("delete", vm["name"])
        self.check_nothing_left()
        pid = self.daemon_pid()
        assert pid is not None
        os.kill(pid, signal.SIGTERM)
        until(lambda: self.processes() == [], what="the daemon does not end")

    def end_all(self) -> None:
        """End whatever of this world still runs, after a proof that failed."""
        for pid, _ in self.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def kill(pid: int) -> None:
    """SIGKILL, and wait until the process is gone with all it had open; our own child stays a zombie."""
    process = os.pidfd_open(pid)
    try:
        os.kill(pid, signal.SIGKILL)
        poll = select.poll()
        poll.register(process, select.POLLIN)
        assert poll.poll(60_000), f"{pid} does not end"
    finally:
        os.close(process)


def until(condition: Callable[[], object], *, what: str, deadline_s: float = 60.0) -> None:
    """Wait for something that will come; failing is all that the deadline is for."""
    end_s = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < end_s, what
        time.sleep(0.005)


def reap(process: subprocess.Popen[bytes]) -> None:
    """End a process of ours for good."""
    process.kill()
    process.wait()
