"""docs/reliability.md: one row for each proof, each written by the run that it tells of."""

from __future__ import annotations

import fcntl
import os
import platform
from dataclasses import dataclass
from pathlib import Path

from tests.world import REPOSITORY

PAGE = REPOSITORY / "docs" / "reliability.md"
# All proofs there are, in the order of the page; a row that was never run says so.
PROOFS = (
    "sweep",
    "sweep-vm",
    "soak",
    "cycles",
    "cycles-vm",
    "faults",
    "databases",
    "model",
    "many-vms",
    "adopt-vm",
    "stops-vm",
)
_BEGIN = "| proof | what is done | how often | what came of it |"
_RULE = "|---|---|---|---|"
_HEAD = f"""# Reliability

What banger promises about crashes is tested, and each row is written by the run that it describes: `make soak` writes
the row `soak`. Small samples of the same runs belong to `make test`; those with `-vm` in their names boot real guests.

{_BEGIN}
{_RULE}
"""
_TAIL = """
- Times are those of one machine that had other work to do, and are told, not judged, unless the row gives a limit.
- *Acknowledged* is what a client was told had happened. *Lost* is an acknowledged change that a later list contradicts.
- *Leaks* are processes, sockets, directories and rows that belong to no VM, looked for after everything was deleted.
- The random choices of a run follow from the seed in its row; what a kill at a random instant hits does not.
"""


@dataclass(frozen=True)
class Row:
    """What one run has shown. `proof` is one of `PROOFS`; a run that was ended early is not `whole`."""

    proof: str
    what: str
    count: str
    result: str
    whole: bool = True

    def __str__(self) -> str:
        return f"| `{self.proof}` | {self.what} | {self.count} | {self.result} |"


def host() -> str:
    """Where a run was made, for its row."""
    return f"{os.cpu_count()} processors, Linux {platform.release().split('-')[0]}"


def write_row(row: Row, page: Path = PAGE) -> None:
    """Put `row` in its place on the page, which keeps the others. Runs may end at the same moment."""
    assert row.proof in PROOFS
    descriptor = os.open(page, os.O_RDWR | os.O_CREAT, 0o644)
    with os.fdopen(descriptor, "r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        text = render(file.read(), row)
        file.seek(0)
        file.write(text)
        file.truncate()


def render(before: str, row: Row) -> str:
    """The page `before` with `row` in it."""
    rows = {proof: f"| `{proof}` | not run yet | | |" for proof in PROOFS}
    for line in before.splitlines():
        proof = line.removeprefix("| `").partition("`")[0]
        if line.startswith("| `") and proof in rows:
            rows[proof] = line
    rows[row.proof] = str(row)
    return _HEAD + "\n".join(rows.values()) + "\n" + _TAIL
