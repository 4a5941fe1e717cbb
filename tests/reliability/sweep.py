"""`sweep` and `sweep-vm`: the generated crash sweeps of the test suite, counted and timed."""

from __future__ import annotations

import functools
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final
from xml.etree import ElementTree as ET

from tests.reliability.page import Row, host
from tests.world import REPOSITORY

COUNT: Final = 1
TOLD_S: Final = 5.0


def prove(count: int, seed: int, *, proof: str = "sweep", tests: str = "tests/component/test_crashes.py") -> Row:
    """Run `tests` `count` times. Raises `AssertionError` with what failed."""
    del seed  # every point is swept
    times: list[float] = []
    points = 0
    for _ in range(count):
        with tempfile.TemporaryDirectory(prefix="banger-sweep-") as directory:
            report, noted = Path(directory) / "report.xml", Path(directory) / "times"
            done = subprocess.run(
                [sys.executable, "-m", "pytest", "-q", "--numprocesses=2", f"--junitxml={report}", tests],
                cwd=REPOSITORY,
                env={**os.environ, "BANGER_SWEEP": "all", "BANGER_TEST_TIMES": str(noted)},
                check=False,
                capture_output=True,
            )
            assert done.returncode == 0, done.stdout.decode()[-8000:]
            suite = next(ET.parse(report).getroot().iter("testsuite"))
            points += int(suite.attrib["tests"]) - int(suite.attrib["skipped"])
            times += [float(line) for line in noted.read_text().splitlines()]
    within = sum(seconds <= TOLD_S for seconds in times)
    return Row(
        proof,
        "the daemon dies, or fails, at every point of every step of the operations, with "
        + ("a fake VMM" if proof == "sweep" else "QEMU"),
        f"{points} points",
        f"**0 leaks**; the next daemon has put the world in order and answers after {statistics.median(times):.2f} s, at "
        f"most {max(times):.2f} s ({within} of {len(times)} starts within {TOLD_S:g} s) ({host()})",
    )


prove_vm = functools.partial(prove, proof="sweep-vm", tests="tests/vm/test_crashes_vm.py")
