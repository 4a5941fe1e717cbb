"""The documentation builds without a warning, has a page for each command, and its manual pages are good troff."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from record_session import COMMANDS as RECORDED
from record_session import PROMPT

from banger.cli.table import COMMANDS, GROUPS

ROOT = Path(__file__).parents[2]
NAMES = [
    "banger",
    *("-".join(("banger", *group.words)) for group in GROUPS),
    *("-".join(("banger", *command.words)) for command in COMMANDS if not command.hidden),
]


def build(builder: str, directory: Path) -> Path:
    """Build from a copy, since the reference is written beside its source."""
    source = directory / "docs"
    if not source.exists():
        shutil.copytree(ROOT / "docs", source, ignore=shutil.ignore_patterns("reference"))
        (directory / "src").symlink_to(ROOT / "src")
    made = directory / builder
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", builder, source, made],
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    return made


def test_the_site(tmp_path: Path) -> None:
    site = build("html", tmp_path)
    for name in NAMES:
        page = (site / "reference" / f"{name}.html").read_text()
        assert "Examples" in page
    run = (site / "reference" / "banger-vm-run.html").read_text()
    assert "--no-workspace" in run  # two hyphens, which typographers would join
    assert "0 done" in (site / "reference" / "banger.html").read_text()


def test_the_manual_pages(tmp_path: Path) -> None:
    manual = build("man", tmp_path)
    assert {path.name for path in manual.glob("*.1")} == {f"{name}.1" for name in NAMES}
    for name in NAMES:
        done = subprocess.run(
            ["man", "--warnings", "--local-file", manual / f"{name}.1"],
            env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "MANWIDTH": "100", "MANPAGER": "cat"},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stderr == ""
        assert name.upper() in done.stdout
        assert "SYNOPSIS" in done.stdout or "EXAMPLES" in done.stdout


def test_the_recorded_session_is_of_today() -> None:
    """`make recording` makes it, with real machines; a command that was changed since is seen here."""
    drawn = ElementTree.parse(ROOT / "docs" / "session.svg").getroot().itertext()
    lines = [text.replace("\xa0", " ").strip() for text in drawn]
    assert [line.removeprefix(PROMPT) for line in lines if line.startswith(PROMPT)] == list(RECORDED)


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*.md")), ids=lambda path: path.stem)
def test_pages_begin_with_their_title(page: Path) -> None:
    assert page.read_text().startswith("# ")
