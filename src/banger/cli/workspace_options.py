"""The flags that say what of a repository goes into a VM, and looking at that without a daemon."""

from __future__ import annotations

import json
import os
import sys
from argparse import Namespace
from typing import TYPE_CHECKING, Any, Final

from banger.cli.arguments import Parser
from banger.cli.render import count, render_json
from banger.core.errors import Failed, Invalid, error_of_kind
from banger.core.sizes import format_size
from banger.core.untrusted import printable

if TYPE_CHECKING:
    from banger.api.messages import PlannedWorkspace, WorkspaceOptions
    from banger.cli.context import Context

_DEADLINE_S: Final = 300.0


def declare_workspace(parser: Parser) -> None:
    """The flags of `vm run` and `vm workspace prepare`."""
    parser.add_argument("--branch", metavar="NAME", help="work on a new branch that only the guest has")
    parser.add_argument(
        "--from", dest="start", metavar="REF", help="where the branch begins: files as committed there, not as here"
    )
    parser.add_argument(
        "--mode",
        choices=("overlay", "full-copy"),
        help="newest history and files as here, or all of it, with submodules",
    )
    parser.add_argument(
        "--include-untracked", action="store_true", help="also copy untracked files, but never ignored ones"
    )
    parser.add_argument("--guest-path", metavar="DIR", help="where in the guest (default: where it is, or /root/NAME)")
    parser.add_argument("--dry-run", action="store_true", help="list what would be copied, and do nothing")


def workspace_options(options: Namespace) -> WorkspaceOptions:
    """The flags as the daemon takes them; what was not said is left out."""
    asked: WorkspaceOptions = {}
    add_workspace_options(asked, options)
    return asked


def add_workspace_options(asked: WorkspaceOptions, options: Namespace) -> None:
    """Add the flags to a request."""
    if options.branch is not None:
        asked["branch"] = options.branch
    if options.start is not None:
        asked["start"] = options.start
    if options.mode is not None:
        asked["mode"] = options.mode
    if options.include_untracked:
        asked["include_untracked"] = True
    if options.guest_path is not None:
        asked["guest_path"] = options.guest_path


def check_without_workspace(options: Namespace) -> None:
    """Raise `Invalid` for flags about a repository where there is none."""
    given = [*workspace_options(options), *(["dry_run"] if options.dry_run else [])]
    if given:
        flag = {"start": "from"}.get(given[0], given[0]).replace("_", "-")
        raise Invalid(f"--{flag} is about a repository, and there is none", hint="name a directory of one")


def plan_workspace(path: str, asked: WorkspaceOptions, *, bootstrap: bool, new: bool) -> PlannedWorkspace:
    """What would go in, and with `bootstrap` where the repository wants to be.

    Errors of what would make a `new` VM are refusals, as those of the real thing. The program that does it is one of
    its own: it knows git, and this one does not.
    """
    import asyncio

    from banger.core.processes import run

    argv = [
        sys.executable,
        "-P",  # the current directory is an untrusted repository, whose json.py must not be imported
        "-m",
        "banger.workspace",
        os.path.abspath(path),
        json.dumps({**asked, "bootstrap": bootstrap}),
    ]
    patterns = {name: os.environ[name] for name in ("XDG_CONFIG_HOME",) if name in os.environ}
    done = asyncio.run(run(argv, environment=patterns, timeout_s=_DEADLINE_S))
    try:
        said: dict[str, Any] = json.loads(done.stdout)
    except ValueError as error:
        raise Failed("the repository could not be looked at", hint="`git status` there may say why") from error
    if "error" in said:
        view = said["error"]
        refused = {"refused": True} if new and view["kind"] not in ("failed", "timed_out", "internal") else {}
        raise error_of_kind(view["kind"], view["summary"], hint=view["hint"], **refused)
    result: PlannedWorkspace = said["result"]
    return result


def show_plan(
    context: Context,
    path: str,
    asked: WorkspaceOptions,
    *,
    as_json: bool,
    bootstrap: bool = False,
    new: bool = False,
) -> None:
    """Print what would go in: a line for each file, and a summary on standard error. As in `plan_workspace`."""
    plan = plan_workspace(path, asked, bootstrap=bootstrap, new=new)
    if as_json:
        context.write(render_json(plan))
        return
    width = max((len(str(file["size_bytes"])) for file in plan["files"]), default=1)
    for file in plan["files"]:
        context.write(f"{file['mode']} {file['size_bytes']:>{width}} {printable(file['path'], limit=5000)}\n")
    context.tell(render_plan(plan))


def render_plan(plan: PlannedWorkspace) -> str:
    """A summary of one or two lines."""
    total = sum(file["size_bytes"] for file in plan["files"])
    history = "all of history" if plan["mode"] == "full-copy" else "the newest history"
    where = f"on branch {printable(plan['branch'])}" if plan["branch"] is not None else "on no branch"
    lines = [
        f"{count(len(plan['files']), 'file')} ({format_size(total)}) and {history} would go to "
        f"{printable(plan['guest_path'])}, {where} (mode {plan['mode']})"
    ]
    if plan["untracked_count"]:
        number = count(plan["untracked_count"], "untracked file")
        lines.append(f"{number} would stay behind (--include-untracked takes them along)")
    return "\n".join(lines)
