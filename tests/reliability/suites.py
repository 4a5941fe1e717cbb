"""Proofs that are tests of the suite: run, counted and timed as one row each."""

from __future__ import annotations

import functools
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from xml.etree import ElementTree as ET

from tests.component.test_crash_workspaces import points as workspace_points
from tests.component.test_crashes import all_points, copy_points
from tests.hostile.test_damaged_databases import ROUNDS
from tests.reliability.page import Row, host
from tests.world import REPOSITORY

COUNT: Final = 1
TOLD_S: Final = 5.0
WORKERS: Final = 2
POINT_COUNT: Final = len(all_points()) + len(copy_points()) + len(workspace_points())


@dataclass(frozen=True)
class Outcome:
    """How many tests passed, and how long the daemons that they started took to put the world in order, in seconds."""

    tests: int
    times: list[float]


@dataclass(frozen=True)
class Suite:
    """Which tests, and how they are told of."""

    paths: tuple[str, ...]
    what: str
    count: Callable[[Outcome], str]
    result: Callable[[Outcome], str]
    workers: int = WORKERS


def run(suite: Suite) -> Outcome:
    """Raises `AssertionError` with what failed."""
    with tempfile.TemporaryDirectory(prefix="banger-suite-") as directory:
        report, noted = Path(directory) / "report.xml", Path(directory) / "times"
        noted.touch()
        words = ["-q", f"--numprocesses={suite.workers}", f"--junitxml={report}", *suite.paths]
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *words],
            cwd=REPOSITORY,
            env={**os.environ, "BANGER_SWEEP": "all", "BANGER_TEST_TIMES": str(noted)},
            check=False,
            capture_output=True,
        )
        assert done.returncode == 0, done.stdout.decode()[-8000:]
        told = next(ET.parse(report).getroot().iter("testsuite")).attrib
        times = [float(line) for line in noted.read_text().splitlines()]
    return Outcome(int(told["tests"]) - int(told["skipped"]), times)


def converged(outcome: Outcome) -> str:
    times = outcome.times
    within = sum(seconds <= TOLD_S for seconds in times)
    return (
        f"**0 leaks**; a daemon has put the world in order and answers after {statistics.median(times):.2f} s, at most "
        f"{max(times):.2f} s ({within} of {len(times)} starts within {TOLD_S:g} s)"
    )


SUITES: Final = {
    "sweep": Suite(
        paths=tuple(f"tests/component/test_{name}.py" for name in ("crashes", "crash_workspaces", "crash_clients")),
        what="the daemon dies at each point of each step of all operations, and the client and the VMM in the middle of "
        "each, with a fake VMM",
        count=lambda outcome: f"{outcome.tests} cases, {POINT_COUNT} points",
        result=converged,
    ),
    "sweep-vm": Suite(
        paths=("tests/vm/test_crashes_vm.py",),
        what="the same with QEMU",
        count=lambda outcome: f"{outcome.tests} points",
        result=converged,
        workers=1,
    ),
    "faults": Suite(
        paths=("tests/component/test_faults.py", "tests/component/test_full_disk.py"),
        what="no space left, or the disk fails, at each of these points",
        count=lambda outcome: f"2 faults, {len(all_points())} points",
        result=lambda _outcome: "typed errors, **0 leaks**, and the retry succeeds",
    ),
    "databases": Suite(
        paths=("tests/hostile/test_damaged_databases.py",),
        what="the database is damaged at random",
        count=lambda _outcome: f"{ROUNDS} databases",
        result=lambda _outcome: "safe starts or clear refusals, **0 VM directories** lost a byte",
    ),
}


def prove(count: int, seed: int, *, proof: str) -> Row:
    """Run the tests of `proof`, `count` times. Raises `AssertionError` with what failed."""
    del seed  # tests bring their own
    suite = SUITES[proof]
    outcomes = [run(suite) for _ in range(count)]
    last = Outcome(outcomes[-1].tests, [seconds for outcome in outcomes for seconds in outcome.times])
    return Row(proof, suite.what, suite.count(last), f"{suite.result(last)} ({host()})")


prove_sweep = functools.partial(prove, proof="sweep")
prove_sweep_vm = functools.partial(prove, proof="sweep-vm")
prove_faults = functools.partial(prove, proof="faults")
prove_databases = functools.partial(prove, proof="databases")
