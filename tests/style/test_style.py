"""Lint, format, strict types and the rules of the house, as tests."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent


@pytest.mark.parametrize(
    "command",
    [
        ["ruff", "check", "."],
        ["ruff", "format", "--check", "."],
        ["mypy"],
        ["lint-imports"],
    ],
    ids=" ".join,
)
def test_clean(command: list[str]) -> None:
    done = subprocess.run(
        [BIN / command[0], *command[1:]],
        cwd=ROOT,
        env={**os.environ, "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]


def test_no_module_unpacks_archives_or_uses_a_shell() -> None:
    """What security.md forbids must not even appear in the sources."""
    forbidden = (
        "extractall(",
        "unpack_archive(",
        "shell=True",
        "os.system(",
        "import pickle",
        "import multiprocessing",
        "import yaml",
        "from yaml",
    )
    for path in sorted((ROOT / "src").rglob("*.py")):
        text = path.read_text()
        found = [word for word in forbidden if word in text]
        assert found == [], (path, found)


def test_python_never_looks_for_modules_where_it_is_started() -> None:
    """That may be a stranger's repository."""
    started = re.compile(r'(?:sys\.executable|\bpython),\s*((?:"-[A-Za-z]",[^"]*)+)')
    found = [
        (path.name, match[1])
        for path in sorted((ROOT / "src").rglob("*.py"))
        for match in started.finditer(path.read_text())
    ]
    assert len(found) >= 5
    assert [each for each in found if '"-P"' not in each[1]] == []


def test_one_module_starts_processes_and_one_opens_the_database() -> None:
    starters = {
        str(path.relative_to(ROOT / "src"))
        for path in (ROOT / "src").rglob("*.py")
        if "create_subprocess_exec(" in (text := path.read_text())
        or "subprocess.Popen(" in text
        or "subprocess.run(" in text
    }
    assert starters <= {"banger/core/processes.py", "banger/cli/daemon.py"}, starters
    openers = {path.name for path in (ROOT / "src").rglob("*.py") if "sqlite3.connect(" in path.read_text()}
    assert openers == {"connection.py"}
