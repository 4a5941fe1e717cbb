"""Patches as people see them."""

from __future__ import annotations

from typing import Any

import pytest

from banger.cli.commands.workspace_apply import is_done, render_review
from banger.cli.commands.workspace_status import describe_guest, describe_host
from banger.cli.patch_text import render_files, render_findings, render_patch
from banger.cli.render import Style

PLAIN = Style(enabled=False)


def changed(path: str, **more: Any) -> Any:
    file = {"path": path, "change": "modified", "binary": False, "old_mode": "100644", "new_mode": "100644"}
    return {**file, "additions": 0, "deletions": 0, **more}


def review(**more: Any) -> Any:
    result = {
        "saved": "x.patch",
        "saved_path": "/state/x.patch",
        "size_bytes": 9,
        "base_commit": "a" * 40,
        "source": "/home/me/repo",
        "files": [changed("a", additions=1)],
        "file_count": 1,
        "additions": 1,
        "deletions": 0,
        "findings": [],
        "pending": 1,
        "already": 0,
        "reverted": [],
        "reverted_count": 0,
        "problem": None,
    }
    return {**result, **more}


def test_files_with_their_lines() -> None:
    files = [
        changed("a", additions=60, deletions=30),
        changed("b", change="added", old_mode="", additions=1),
        changed("run", new_mode="100755"),
        changed("tool", old_mode="100755"),
        changed("i.png", binary=True),
        changed("l", change="added", old_mode="", new_mode="120000", additions=1),
        changed("gone", change="deleted", new_mode="", deletions=1),
    ]
    assert render_files(files, total=9, style=PLAIN) == [
        "  M a  90 ++++++++++++++++++++----------",
        "  A b  1 +",
        "  M run (executable)",
        "  M tool (no longer executable)",
        "  M i.png (binary)",
        "  A l (link)  1 +",
        "  D gone  1 -",
        "  and 2 more",
    ]


def test_names_move_no_cursor() -> None:
    (line,) = render_files([changed("a\x1b[2J")], total=1, style=PLAIN)
    assert "\x1b" not in line


def test_findings() -> None:
    paths = [f"f{number}" for number in range(7)]
    finding: Any = {"kind": "links", "title": "symbolic links", "count": 30, "paths": paths}
    assert render_findings([finding], PLAIN)[:2] == ["Worth a look:", "  symbolic links:"]
    assert render_findings([], PLAIN) == []
    assert render_findings([finding], PLAIN)[-1] == "    and 25 more"


PATCH = b"""diff --git a/a b/a
index 1..2 100644
--- a/a
+++ b/a
@@ -1 +1,2 @@
-old
+new\x1b[31m\ttab
 same
diff --git a/b b/b
index 1..2
GIT binary patch
literal 3
KcmZQzWMT#Y

literal 0
HcmV?d00001

diff --git a/c b/c
"""


@pytest.mark.parametrize("size", [1, 7, 4096])
def test_a_patch_for_a_terminal(size: int) -> None:
    pieces = [PATCH[start : start + size] for start in range(0, len(PATCH), size)]
    lines = list(render_patch(pieces, PLAIN))
    assert lines[5:8] == ["-old", "+new\\x1b[31m    tab", " same"]
    assert lines[8:] == ["diff --git a/b b/b", "index 1..2", "(binary content)", "diff --git a/c b/c"]


def test_a_patch_in_colours() -> None:
    assert "\x1b[32m+new" in "\n".join(render_patch([PATCH], Style(enabled=True)))


def test_very_long_lines_are_cut() -> None:
    (line,) = render_patch([b"+" + b"x" * 1_000_000], PLAIN)
    assert len(line) < 5_000


def test_a_review() -> None:
    told = render_review(review(), PLAIN)
    assert told.endswith("Saved as /state/x.patch\nIt fits /home/me/repo.")
    assert "Worth a look" not in told
    assert not is_done(review())
    done = review(pending=0, already=1)
    assert is_done(done)
    assert "All of it is in the working tree already." in render_review(done, PLAIN)
    assert "nothing to apply" in render_review(review(files=[], file_count=0, pending=0), PLAIN)


def test_a_review_of_what_is_undone() -> None:
    told = render_review(review(files=[], file_count=0, reverted=list("abcdef"), reverted_count=9), PLAIN)
    assert "undone in the guest: a, b, c, d, e and 4 more" in told


def status(**more: Any) -> Any:
    told = {
        "guest_branch": "main",
        "guest_head": "b" * 40,
        "guest_commits": 2,
        "host_branch": None,
        "host_head": "a" * 40,
        "host_changes": 1,
        "copied_head": "a" * 40,
    }
    return {**told, **more}


def test_the_two_sides_of_a_workspace() -> None:
    assert describe_guest(status()) == "main at bbbbbbbbbbbb, 2 new commits"
    assert describe_host(status()) == "no branch at aaaaaaaaaaaa, as it was copied, 1 file not committed"
    assert describe_host(status(host_head=None)).startswith("no branch at no commit, moved")
    assert describe_host(status(host_changes=None)) == "the repository cannot be read any more"
    assert describe_guest(status(guest_commits=None)) == "main at bbbbbbbbbbbb"
