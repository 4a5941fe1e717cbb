"""`soak`: SIGKILL for the daemon at random instants, under the mixed load of eight clients."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import IO, Final

from tests.reliability.page import Row, host
from tests.reliability.worlds import LooseWorld, reap
from tests.world import REPOSITORY

from banger.core.sockets import connect_unix

CLIENTS: Final = 8
COUNT: Final = 2000
PROGRESS_BYTES: Final = 12_000  # about sixty lines, which are thirty requests
PROGRESS_DEADLINE_S: Final = 10.0  # nobody gets on when all wait for a VM that is hard to stop
RESTART_DEADLINE_S: Final = 120.0


class Soak:
    """The one who kills."""

    def __init__(self, root: Path, seed: int, clients: int) -> None:
        self.world = LooseWorld(root)
        self.directory = root / "soak"
        self.directory.mkdir()
        self.kills = Counter[str]()
        self._socket = self.world.api().socket_path
        self._random = random.Random(seed)
        self._clients = [self._start_client(index) for index in range(clients)]
        self._vmm_kills: IO[str] = (self.directory / "vmm-kills").open("a", buffering=1)

    def strike(self) -> None:
        """Kill the daemon at a random instant, and sometimes a VMM or a client just before."""
        self._await(self.world.daemon_pid, "nobody starts the daemon")
        if self._random.random() < 0.75:
            self._await(self._answers, "the daemon does not answer")
            self._let_them_work(self._random.randint(0, PROGRESS_BYTES))
        else:
            time.sleep(self._random.uniform(0, 0.6))  # while it starts and puts the world in order
        if self._random.random() < 0.25:
            self._kill_a_vmm()
        if self._random.random() < 0.2:
            self._kill_a_client()
        if (pid := self.world.daemon_pid()) is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                self.kills["daemon"] += 1

    def _let_them_work(self, wanted: int) -> None:
        """Until the diaries have grown by so many bytes, however slow this machine is, and a moment more."""
        begun, end_s = self._written(), time.monotonic() + PROGRESS_DEADLINE_S
        while self._written() - begun < wanted and time.monotonic() < end_s:
            time.sleep(0.005)
        time.sleep(self._random.uniform(0, 0.1))

    def _written(self) -> int:
        return sum(path.stat().st_size for path in self.directory.glob("client-?"))

    def _await(self, condition: Callable[[], object], what: str) -> None:
        end_s = time.monotonic() + RESTART_DEADLINE_S
        while not condition():
            for index, client in enumerate(self._clients):
                assert client.poll() is None, self._report(f"client {index} ended with {client.poll()}")
            assert time.monotonic() < end_s, self._report(what)
            time.sleep(0.005)

    def end(self) -> None:
        """Let the clients compare for the last time, and look for leaks."""
        (self.directory / "stop").touch()
        for index, client in enumerate(self._clients):
            assert client.wait(300) == 0, self._report(f"client {index} ended with {client.returncode}")
        log = (self.world.state / "daemon.log").read_text()
        assert "Traceback" not in log, log[log.index("Traceback") :][:4000]
        self.world.delete_all()

    def close(self) -> None:
        """Whatever happened, nobody of ours is left."""
        for client in self._clients:
            reap(client)
        self._vmm_kills.close()
        self.world.end_all()

    def tally(self) -> Counter[str]:
        """How many requests were answered what, from the diaries."""
        answers = Counter[str]()
        for path in self.directory.glob("client-?"):
            for line in path.read_text().splitlines():
                if "answer" in (entry := json.loads(line)):
                    answers[entry["answer"]] += 1
        return answers

    def _start_client(self, index: int) -> subprocess.Popen[bytes]:
        errors = (self.directory / f"client-{index}.errors").open("ab")
        with errors:
            return subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "tests.reliability.soak_client",
                    str(self.world.root),
                    str(index),
                    str(self._random.getrandbits(32)),
                ],
                cwd=REPOSITORY,
                stdin=subprocess.DEVNULL,
                stderr=errors,
            )

    def _answers(self) -> bool:
        try:
            connect_unix(self._socket).close()
        except OSError:
            return False
        return True

    def _kill_a_vmm(self) -> None:
        vmms = self.world.vmm_of()
        if not vmms:
            return
        vm_id = self._random.choice(sorted(vmms))
        with closing(sqlite3.connect(f"file:{self.world.state / 'banger.db'}?mode=ro", uri=True)) as database:
            row = database.execute("SELECT name FROM vm WHERE id = ?", (vm_id,)).fetchone()
        if row is None:
            return
        self._vmm_kills.write(f"{time.monotonic()} {row[0][:-1]}\n")  # before it happens: who meets it finds it told
        with suppress(ProcessLookupError):
            os.kill(vmms[vm_id], signal.SIGKILL)
            self.kills["vmm"] += 1

    def _kill_a_client(self) -> None:
        index = self._random.randrange(len(self._clients))
        client = self._clients[index]
        if client.poll() is None:
            reap(client)
            self.kills["client"] += 1
            self._clients[index] = self._start_client(index)

    def _report(self, what: str) -> str:
        errors = "".join(path.read_text()[-3000:] for path in sorted(self.directory.glob("*.errors")))
        return f"{what}\n{errors}\n{self.world.log_tail()}"


def prove(count: int, seed: int, *, clients: int = CLIENTS) -> Row:
    """Kill `count` daemons, or fewer if told to end by SIGTERM; compare. Raises `AssertionError` with what was lost."""
    enough: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _frame: enough.append(number))
    directory = Path(tempfile.mkdtemp(prefix="banger-soak-"))
    soak = Soak(directory / "w", seed, clients)
    try:
        while soak.kills["daemon"] < count and not enough:
            soak.strike()
            if sys.stderr.isatty():
                print(f"\r{soak.kills['daemon']} of {count}", end="", file=sys.stderr, flush=True)
        soak.end()
    except BaseException:
        print(f"what is left is in {directory}", file=sys.stderr)
        raise
    finally:
        soak.close()
        signal.signal(signal.SIGTERM, before)
    answers = soak.tally()
    subprocess.run(["rm", "-rf", "--", str(directory)], check=True)
    total, acknowledged = answers.total(), answers["ok"]
    return Row(
        "soak",
        f"SIGKILL for the daemon at random instants under the load of {clients} clients, and for some VMMs and clients",
        f"{soak.kills['daemon']} daemons, {soak.kills['vmm']} VMMs and {soak.kills['client']} clients killed; seed {seed}",
        f"{total} requests, {acknowledged} acknowledged, {answers['unanswered'] + answers['client killed']} unanswered; "
        f"**0 lost, 0 leaks** ({host()})",
        whole=soak.kills["daemon"] >= count,
    )
