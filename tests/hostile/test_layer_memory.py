"""Layers that ask for much: what becomes of them, and the most memory that it took a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests.hostile.archive_cases import check_reason
from tests.world import REPOSITORY

pytestmark = pytest.mark.timeout(1200)

LIMIT_KIB = 256 << 10
MUCH = "comes after 67108864 bytes of names, link targets and attributes, which is all there may be"
OUTCOMES = {
    "a million files in a directory, with 64 MiB of history": "999002 names|bytes",
    "directories in chains": "199801 names|bytes",
    "files that the next layer hides": "3 names, 8192 bytes",
    "hard links": "333002 names|bytes",
    "long names": f"nnnn|{MUCH}",
    "attributes": f"member|{MUCH}",
    "maps of sparse files": f"member|{MUCH}",
    "extended headers": "21 names, 8192 bytes",
    "one file again and again": "2 names, 8192 bytes",
    "a gigabyte of zeros": "the layer expands to more than 250 times its size, at the archive member zeros",
}


@pytest.mark.parametrize("case", OUTCOMES)
def test_memory_has_a_bound(case: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.hostile.large_layers", case, str(tmp_path)],
        cwd=REPOSITORY,
        env={"PYTHONPATH": "src"},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    outcome, peak_kib = done.stdout.splitlines()
    check_reason(outcome, OUTCOMES[case])
    assert int(peak_kib) < LIMIT_KIB
