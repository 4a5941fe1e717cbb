"""A repository with modules that are called as Python's own, or ours: where banger is started decides nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.world import commit_all, git

MODULES = (
    "json.py",
    "asyncio/__init__.py",
    "subprocess.py",
    "encodings.py",
    "msgspec.py",
    "banger/__init__.py",
    "banger/workspace/__init__.py",
    "banger/workspace/__main__.py",
)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Each module writes into one file when it is imported."""
    top = tmp_path / "evil"
    top.mkdir()
    for module in MODULES:
        (top / module).parent.mkdir(parents=True, exist_ok=True)
        (top / module).write_text(f"open({str(tmp_path / 'canary')!r}, 'a').write({module!r})\n")
    git(top, "init", "-q", "-b", "main")
    commit_all(top)
    return top


@pytest.mark.parametrize("command", ["run", "workspace"])
def test_a_dry_run_imports_nothing_of_the_repository(repository: Path, tmp_path: Path, command: str) -> None:
    words = {
        "run": ("vm", "run", "--dry-run", "--json", "."),
        "workspace": ("vm", "workspace", "prepare", "box", ".", "--dry-run", "--json"),
    }[command]
    home = tmp_path / "home"
    home.mkdir()
    done = subprocess.run(
        [sys.executable, "-P", "-m", "banger", *words],
        cwd=repository,
        env={"PATH": os.environ["PATH"], "HOME": str(home), "BANGER_HOME": str(home / "banger")},
        capture_output=True,
        check=False,
    )
    assert not (tmp_path / "canary").exists(), (tmp_path / "canary").read_text()
    assert done.returncode == 0, done.stderr
    assert b"json.py" in done.stdout
