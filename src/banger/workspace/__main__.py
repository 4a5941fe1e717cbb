"""`python -m banger.workspace PATH OPTIONS`: what would go into a guest, as JSON. For the command line's `--dry-run`.

OPTIONS is a JSON object with the members of the API's `WorkspaceOptions`, and `bootstrap`: whether the repository's
devcontainer.json counts.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from banger.core.errors import BangerError
from banger.workspace.choice import Choice, check_choice, check_guest_path
from banger.workspace.devcontainer import find_devcontainer, usual_place
from banger.workspace.listing import Listing, list_workspace


def main(argv: Sequence[str]) -> int:
    """Print `{"result": ...}` or `{"error": ...}`."""
    path, options = argv
    asked: dict[str, Any] = json.loads(options)
    guest_path, bootstrap = asked.pop("guest_path", None), asked.pop("bootstrap", False)
    try:
        choice = Choice(**asked)
        check_choice(choice)
        place = None if guest_path is None else check_guest_path(guest_path)
        listing = asyncio.run(look(Path(path), choice, place, bootstrap=bootstrap))
        answer: dict[str, Any] = {"result": view_listing(listing)}
    except BangerError as error:
        answer = {"error": {"kind": error.kind, "summary": error.summary, "hint": error.hint}}
    sys.stdout.write(json.dumps(answer) + "\n")
    return 0


async def look(path: Path, choice: Choice, guest_path: str | None, *, bootstrap: bool) -> Listing:
    """What would go in, and where to. Raises as a run would."""
    listing = await list_workspace(path, choice, guest_path)
    if not bootstrap:
        return listing
    top = listing.repository.top
    container = await find_devcontainer(
        top, usual=usual_place(top), chosen=guest_path, include_untracked=choice.include_untracked
    )
    return listing if container is None else replace(listing, guest_path=container.guest_path)


def view_listing(listing: Listing) -> dict[str, Any]:
    """As the API's `PlannedWorkspace`; a path that is no UTF-8 has escapes (PEP 383)."""
    repository = listing.repository
    return {
        "guest_path": listing.guest_path,
        "source": str(repository.top),
        "mode": repository.choice.mode,
        "commit": repository.head,
        "branch": repository.branch,
        "untracked_count": repository.untracked_count,
        "files": [
            {"path": file.path.decode("utf-8", "surrogateescape"), "mode": f"{file.mode:06o}", "size_bytes": file.size}
            for file in listing.files
        ],
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
