"""A world whose daemon is `tests.fakes.machineless`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from tests.world import REPOSITORY, World


class FakeWorld(World):
    """Starts and kills its daemon itself."""

    daemon: subprocess.Popen[bytes] | None = None

    def start_daemon(self, *, failpoints: str = "", vmm: str = "") -> None:
        """Start the daemon and wait until it answers. `vmm` is what `tests.fakes.vmm` does instead of working."""
        read, write = os.pipe()
        environment = {
            **self.environment,
            "BANGER_FAILPOINTS": failpoints,
            "BANGER_FAKE_VMM": vmm,
            "BANGER_READY_FD": str(write),
            "PYTHONPATH": str(REPOSITORY),
        }
        self.daemon = subprocess.Popen(
            [sys.executable, "-m", "tests.fakes.machineless"],
            env=environment,
            cwd="/",
            pass_fds=[write],
            start_new_session=True,
            stdin=subprocess.DEVNULL,
        )
        os.close(write)
        with os.fdopen(read, "rb") as pipe:
            said = pipe.readline()
        assert said == b"ready\n", (said, self.log_tail())

    def daemon_pid(self) -> int | None:
        return self.daemon.pid if self.daemon is not None and self.daemon.poll() is None else None

    def kill_daemon(self) -> None:
        """What a crash does."""
        assert self.daemon is not None
        self.daemon.kill()
        self.daemon.wait()

    def wait_for_death(self) -> None:
        """The daemon was to kill itself."""
        assert self.daemon is not None
        assert self.daemon.wait(30) == -signal.SIGKILL, self.log_tail()

    def clear(self) -> None:
        """Delete what there is, prove that nothing is left, end the daemon."""
        try:
            names = [vm["name"] for vm in self.vms()]
            if names:
                self.succeed("vm", "delete", *names)
            self.check_nothing_left()
        finally:
            assert self.daemon is not None
            self.daemon.terminate()
            try:
                assert self.daemon.wait(30) == 0, self.log_tail()
            finally:
                self.daemon.kill()
        assert self.processes() == []
