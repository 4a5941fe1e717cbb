"""docs/parity.md has every row, and names tests that exist."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

from tests.parity import PAGE, ROOT, Row, judge, merge, read_results, read_table, render

# The rows that this project promised to show, of a longer list.
PROMISED = [*range(1, 63), *range(118, 124), *range(134, 137)]


def test_every_promised_row_is_there_with_a_test_or_with_what_is_missing() -> None:
    rows = read_table()
    assert [row.number for row in rows] == PROMISED
    assert all(row.tests or row.open for row in rows)


def test_the_tests_that_are_named_exist() -> None:
    missing = [test for row in read_table() for test in row.tests if test.partition("::")[2] not in functions_of(test)]
    assert missing == []


def test_the_page_is_what_the_table_says() -> None:
    """`make parity` writes it; `python -m pytest --parity tests/style/test_parity.py` does without running the rest."""
    assert PAGE.read_text() == render(read_table(), read_results())


def test_a_row_passes_when_all_of_its_tests_have() -> None:
    row, missing = Row(1, "a", ("x", "y")), Row(3, "c", ("x",), open="half of it")
    assert judge(row, {"x": "passed", "y": "passed"}) == "passed"
    assert judge(row, {"x": "passed"}) == "-"
    assert judge(row, {"x": "passed", "y": "skipped"}) == "-"
    assert judge(row, {"x": "passed", "y": "failed"}) == "failed"
    assert (judge(missing, {"x": "passed"}), judge(missing, {"x": "failed"})) == ("open", "failed")


def test_a_run_changes_what_it_ran() -> None:
    before = {"x": "passed", "y": "failed"}
    assert merge(before, {}) == before
    outcomes = {"y": {"passed", "skipped"}, "z": {"skipped"}, "x": {"passed", "failed"}}
    assert merge(before, outcomes) == {"x": "failed", "y": "passed", "z": "skipped"}


def test_the_readme_says_what_is_needed() -> None:
    readme = (ROOT / "README.md").read_text()
    first = readme[: readme.index("## What to know")]
    assert "Debian 12" in first
    assert "Python 3.11" in first
    assert "default image" in first


@cache
def functions_of(test: str) -> frozenset[str]:
    file = ROOT / "tests" / Path(test.partition("::")[0])
    tree = ast.parse(file.read_text())
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
