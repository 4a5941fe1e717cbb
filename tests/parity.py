"""docs/parity.md: which features people know from the first banger, and which tests prove them, by the last run of each.

`make test` and `make parity` write the page: a run of tests with `--parity` brings it up to date with what it ran.
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

What the first banger could do, by the numbers of its list, and the tests that prove that this one can. Written by the tests, from
`tests/parity.toml` and from what each test said when it ran last; a dash means that it did not run yet.

| # | feature | proved by | result |
|---|---|---|---|
"""
_RESULT = re.compile(r"`([a-z_/]+\.py::[a-z_0-9]+)` (passed|failed|skipped)")


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


def read_results() -> dict[str, str]:
    """What the page says now of each test."""
    text = PAGE.read_text() if PAGE.exists() else ""
    return {found[1]: found[2] for found in _RESULT.finditer(text)}


def render(rows: list[Row], results: Mapping[str, str]) -> str:
    """The page. `results` are by test; a test that is not in it has not run."""
    return HEAD + "".join(_line(row, results) for row in rows)


def _line(row: Row, results: Mapping[str, str]) -> str:
    tests = "<br>".join(f"`{test}` {results.get(test, '-')}" for test in row.tests) or "-"
    feature = row.feature + (f"; {row.note}" if row.note else "") + (f". **Missing**: {row.open}" if row.open else "")
    return f"| {row.number} | {feature} | {tests} | {judge(row, results)} |\n"


def judge(row: Row, results: Mapping[str, str]) -> str:
    """Whether the feature is there: only if all of its tests passed when they ran last."""
    seen = {results.get(test, "-") for test in row.tests}
    if "failed" in seen:
        return "failed"
    if row.open:
        return "open"
    return "passed" if seen == {"passed"} else "-"


def merge(before: Mapping[str, str], outcomes: Mapping[str, set[str]]) -> dict[str, str]:
    """Results after a run. A test with many cases failed if one did, and passed if one did and none failed."""
    after = dict(before)
    for test, seen in outcomes.items():
        after[test] = next(outcome for outcome in ("failed", "passed", "skipped") if outcome in seen)
    return after


class Plugin:
    """Notes how tests end, and writes the page when all have."""

    def __init__(self) -> None:
        self.outcomes: dict[str, set[str]] = {}

    def pytest_runtest_logreport(self, report: object) -> None:
        name = str(getattr(report, "nodeid", "")).partition("[")[0].removeprefix("tests/")
        when, outcome = getattr(report, "when", ""), str(getattr(report, "outcome", ""))
        if when == "call" or outcome != "passed":
            self.outcomes.setdefault(name, set()).add(outcome)

    def pytest_sessionfinish(self) -> None:
        PAGE.write_text(render(read_table(), merge(read_results(), self.outcomes)))


if __name__ == "__main__":
    sys.stdout.write("\n".join(sorted({f"tests/{test}" for row in read_table() for test in row.tests})) + "\n")
