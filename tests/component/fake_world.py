"""A world whose daemon is `tests.fakes.machineless`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

import pytest
from tests.world import REPOSITORY, World, timed_start


class FakeWorld(World):
    """Starts and kills its daemon itself."""

    started: ClassVar[list[FakeWorld]] = []
    daemon: subprocess.Popen[bytes] | None = None
    vmm = ""

    def keep_guests_apart(self) -> None:
        """Give the guests a /root, /srv and /var/log of their own, instead of this computer's."""
        if subprocess.run(["unshare", "--mount", "--map-root-user", "true"], check=False).returncode:
            pytest.skip("this computer gives no mount namespaces")
        self.vmm = f"apart:{self.root / 'guests'}"

    def start_daemon(self, *, failpoints: str = "", vmm: str = "") -> None:
        """Start the daemon and wait until it answers. `vmm` is what `tests.fakes.vmm` does instead of working."""
        with timed_start():
            said = self.spawn_daemon(failpoints=failpoints, vmm=vmm)
        assert said == b"ready\n", (said, self.log_tail())

    def spawn_daemon(self, *, failpoints: str = "", vmm: str = "") -> bytes:
        """Start the daemon; what it says about that."""
        read, write = os.pipe()
        environment = {
            **self.environment,
            "BANGER_FAILPOINTS": failpoints,
            "BANGER_FAKE_VMM": vmm or self.vmm,
            "BANGER_READY_FD": str(write),
            "PYTHONPATH": str(REPOSITORY),
        }
        if self not in self.started:
            self.started.append(self)
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
            return pipe.readline()

    def configure(self, text: str) -> Path:
        """Write the configuration file, which a daemon reads when it starts."""
        file = self.root / "config" / "banger" / "config.toml"
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def restart_daemon(self) -> None:
        """End the daemon in order and start another one."""
        assert self.daemon is not None
        self.daemon.terminate()
        assert self.daemon.wait(30) == 0, self.log_tail()
        self.start_daemon()

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

    def end_what_is_left(self) -> None:
        """What a test that failed left running."""
        for pid, _ in self.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if self.daemon is not None:
            self.daemon.wait()

    def clear(self) -> None:
        """Delete what there is, prove that nothing is left, end the daemon."""
        assert self.daemon_pid() is not None, self.log_tail()  # or the command line would start the real one
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
