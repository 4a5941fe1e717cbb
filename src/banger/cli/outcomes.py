"""Reporting on several VMs in the order given, with one exit status for all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from banger.api.client import error_from
from banger.cli import exits
from banger.cli.failures import render_error
from banger.core.untrusted import printable

if TYPE_CHECKING:
    from banger.api.messages import ErrorView, Observation
    from banger.cli.context import Context
    from banger.core.errors import BangerError


def look(context: Context, refs: Sequence[str], *, what: str, alone: bool = False) -> list[Observation]:
    """Look at several VMs in one request. One that is named `alone` and cannot be looked at raises its error."""
    with context.open() as daemon:
        outcomes: list[Observation] = daemon.post(f"/v1/vms/{what}", {"refs": list(refs)})["outcomes"]
    if alone and (view := outcomes[0]["error"]) is not None:
        raise error_from(dict(view))
    return outcomes


def failure_json(outcome: Observation) -> dict[str, object]:
    """What stands in a list of `--json` for a VM that could not be looked at."""
    return {"ref": outcome["ref"], "error": outcome["error"]}


def tell_failure(context: Context, failure: BangerError | ErrorView, called: str, *, quiet: bool) -> int:
    """Tell what went wrong with the VM that the user called `called`, unless `quiet`; the exit status for it."""
    error = error_from(dict(failure)) if isinstance(failure, dict) else failure
    if not quiet:
        called = printable(called)
        subject = "" if called in printable(error.summary) else called
        context.tell(render_error(error, context.error_style, subject=subject).removesuffix("\n"))
    return exits.OF_KIND[error.kind]
