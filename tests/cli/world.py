"""Where a command runs in these tests: a directory of its own, and an environment with nothing of ours in it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from banger.core.layout import Layout, layout_from_environment

SOURCE = Path(__file__).parents[2] / "src"
DEADLINE_S = 60.0


@dataclass
class World:
    """Starts commands, and ends those that a failing test leaves."""

    home: Path
    cwd: Path
    environment: Mapping[str, str]
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def layout(self) -> Layout:
        return layout_from_environment(self.environment, uid=os.getuid())

    def argv(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "banger", *words]

    def run(
        self, *words: str, stdin: bytes = b"", environment: Mapping[str, str] | None = None, cwd: Path | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        """Run `banger` with these words to its end."""
        return subprocess.run(
            self.argv(*words),
            input=stdin,
            capture_output=True,
            cwd=cwd or self.cwd,
            env={**self.environment, **(environment or {})},
            timeout=DEADLINE_S,
            check=False,
        )

    def start(
        self,
        *words: str,
        stdin: int = subprocess.PIPE,
        stdout: int = subprocess.PIPE,
        stderr: int = subprocess.PIPE,
        ignoring: signal.Signals | None = None,
    ) -> subprocess.Popen[bytes]:
        """Start `banger` with these words, with a signal ignored if that is asked for."""
        argv = self.argv(*words)
        if ignoring is not None:
            argv = ["sh", "-c", f"trap '' {ignoring.value}; exec \"$@\"", "sh", *argv]
        process = subprocess.Popen(
            argv, cwd=self.cwd, env=dict(self.environment), stdin=stdin, stdout=stdout, stderr=stderr, bufsize=0
        )
        self.started.append(process)
        return process

    def close(self) -> None:
        for process in self.started:
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream is not None:
                    stream.close()
