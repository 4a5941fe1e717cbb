"""What a request says about a workspace, and the repository inspected accordingly."""

from __future__ import annotations

import posixpath
from pathlib import Path

from banger.api.messages import WorkspaceOptions
from banger.core.errors import Invalid
from banger.daemon.context import Request
from banger.workspace.choice import DEFAULT, Choice, check_choice, check_guest_path
from banger.workspace.repository import Repository, inspect_repository


def read_choice(asked: WorkspaceOptions, before: Choice = DEFAULT) -> Choice:
    """The choices of a request; what it leaves open is as `before`. Raises `Invalid` for impossible ones."""
    branch = asked.get("branch")
    untracked = asked.get("include_untracked")
    choice = Choice(
        mode=asked.get("mode") or before.mode,
        branch=branch or before.branch,
        # Where a branch begins belongs to that branch.
        start=asked.get("start") or (before.start if branch in (None, before.branch) else None),
        include_untracked=before.include_untracked if untracked is None else untracked,
    )
    check_choice(choice)
    return choice


def read_guest_path(asked: WorkspaceOptions) -> str | None:
    """The place of the workspace, if the request names one. Raises `Invalid`."""
    wanted = asked.get("guest_path")
    return None if wanted is None else check_guest_path(wanted)


async def inspect_chosen(request: Request, path: str, choice: Choice) -> Repository:
    """Inspect the repository that is to be copied, with a notice about what is left behind."""
    if not path.startswith("/"):
        raise Invalid("the path of the repository is not absolute")
    repository = await inspect_repository(Path(path), choice)
    if count := repository.untracked_count:
        text = f"{count} untracked file{'s' if count > 1 else ''} stay{'' if count > 1 else 's'} behind"
        request.notice(f"{text} (--include-untracked takes them along)")
    return repository


def submodule_places(repository: Repository, guest_path: str) -> list[tuple[Path, str]]:
    """Each submodule that is checked out, and its place in the guest."""
    places = []
    for submodule in repository.submodules:
        if submodule.head is not None:
            name = submodule.path.decode("utf-8", "surrogateescape")
            places.append((repository.top / name, posixpath.join(guest_path, name)))
    return places
