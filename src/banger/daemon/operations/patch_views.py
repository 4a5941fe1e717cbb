"""What clients are told of a judged patch: its first files, and what a reviewer wants to look at."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from banger.api.messages import ChangedFile, FindingView
from banger.core.untrusted import printable
from banger.workspace.review import Finding, review_patch
from banger.workspace.verdict import PatchedFile, PatchVerdict

LISTED_PATH_LIMIT: Final = 1000
FINDING_PATH_LIMIT: Final = 300  # one file may be in many findings


def view_files(files: Sequence[PatchedFile], *, limit: int) -> list[ChangedFile]:
    """The first files of a patch as clients see them."""
    return [
        {
            "path": printable(file.path, limit=LISTED_PATH_LIMIT),
            "change": file.change,
            "binary": file.binary,
            "old_mode": file.old_mode,
            "new_mode": file.new_mode,
            "additions": file.additions,
            "deletions": file.deletions,
        }
        for file in files[:limit]
    ]


def view_findings(findings: Sequence[Finding], *, limit: int) -> list[FindingView]:
    """Findings as clients see them, each with the first of its paths."""
    return [
        {
            "kind": finding.kind,
            "title": finding.title,
            "count": len(finding.paths),
            "paths": [printable(path, limit=FINDING_PATH_LIMIT) for path in finding.paths[:limit]],
        }
        for finding in findings
    ]


def look_at_patch(patch: Path, verdict: PatchVerdict, source: Path) -> tuple[Finding, ...]:
    """What is worth a look about a patch for the repository at `source`; blocking."""
    try:
        places = {os.fsencode(entry.name) for entry in source.iterdir()}
    except OSError:
        places = set()
    with patch.open("rb") as file:
        return review_patch(file, verdict, places=places)
