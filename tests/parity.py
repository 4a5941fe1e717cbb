"""docs/parity.md: which features people know from the first banger, and which tests prove them, by the last run of each.

`make parity` runs those tests and writes the page; every run of tests with `--parity` brings it up to date with what it ran.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
TABLE = ROOT / "tests" / "parity.toml"
PAGE = ROOT / "docs" / "parity.md"
HEAD = """\
# Parity

What the first banger could do, by the numbers of its list, and the tests that prove that this one can. Written by `make parity` from
`tests/parity.toml` and from what the tests said when they ran last; a dash means that they did not run since the row was written.

| # | feature | proved by | result |
|---|---|---|---|
"""
_RESULT = re.compile(r"\| (\d+) \|.*\| ([a-z-]+) \|")


@dataclass(frozen=True)
class Row:
    """A feature. `tests` are below tests/; `open` says what is missing, `note` what is different."""

    number: int
    feature: str
    tests: tuple[str, ...] = ()
    note: str = ""
    open: str = ""


def read_table() -> list[Row]:
    """All rows by number."""
    table = tomllib.loads(TABLE.read_text())
    rows = [Row(int(number), **{**row, "tests": tuple(row.get("tests", ()))}) for number, row in table.items()]
    return sorted(rows, key=lambda row: row.number)


def read_results() -> dict[int, str]:
    """What the page says now."""
    lines = PAGE.read_text().splitlines() if PAGE.exists() else []
    return {int(found[1]): found[2] for line in lines if (found := _RESULT.fullmatch(line))}


def render(rows: list[Row], results: Mapping[int, str]) -> str:
    """The page."""
    return HEAD + "".join(_line(row, results.get(row.number, "-")) for row in rows)


def _line(row: Row, result: str) -> str:
    tests = "<br>".join(f"`{test}`" for test in row.tests) or "-"
    feature = row.feature + (f"; {row.note}" if row.note else "") + (f". **Missing**: {row.open}" if row.open else "")
    return f"| {row.number} | {feature} | {tests} | {result} |\n"


def judge(rows: list[Row], outcomes: Mapping[str, set[str]], before: Mapping[int, str]) -> dict[int, str]:
    """Results by row; what was not run keeps its result. `outcomes` are by test, without parameters."""
    results: dict[int, str] = {}
    for row in rows:
        seen = [outcomes.get(test, set()) for test in row.tests]
        if any("failed" in outcome for outcome in seen):
            results[row.number] = "failed"
        elif row.open:
            results[row.number] = "open"
        elif all("passed" in outcome for outcome in seen):
            results[row.number] = "passed"
        else:
            results[row.number] = before.get(row.number, "-")
    return results


class Plugin:
    """Notes how tests end, and writes the page when all have."""

    def __init__(self) -> None:
        self.outcomes: dict[str, set[str]] = {}

    def pytest_runtest_logreport(self, report: object) -> None:
        name = str(getattr(report, "nodeid", "")).partition("[")[0].removeprefix("tests/")
        when, outcome = getattr(report, "when", ""), str(getattr(report, "outcome", ""))
        if when == "call" or outcome == "failed":
            self.outcomes.setdefault(name, set()).add(outcome)

    def pytest_sessionfinish(self) -> None:
        rows = read_table()
        PAGE.write_text(render(rows, judge(rows, self.outcomes, read_results())))


if __name__ == "__main__":
    sys.stdout.write("\n".join(sorted({f"tests/{test}" for row in read_table() for test in row.tests})) + "\n")
