"""What `start`, `stop` and `delete` share: several VMs at once, told about in the order in which they were given."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from banger.cli import exits
from banger.cli.arguments import Parser, add_json, add_vms
from banger.cli.outcomes import tell_failure
from banger.cli.progress import Progress
from banger.cli.render import render_bar, render_json
from banger.core.untrusted import printable

if TYPE_CHECKING:
    from banger.api.messages import TargetsResult, VmView
    from banger.cli.context import Context


NOTHING_MORE: Final[Mapping[str, object]] = MappingProxyType({})
NO_NAMES: Final[Mapping[str, str]] = MappingProxyType({})


def declare_targets(parser: Parser) -> None:
    """The arguments that these commands take."""
    add_vms(parser)
    add_json(parser)
    add_quiet(parser)


def add_quiet(parser: Parser) -> None:
    """`-q`, the same for every command that shows progress."""
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress, no notices")


def add_verbose(parser: Parser) -> None:
    """`-v`, the same for every command that starts VMs."""
    parser.add_argument("-v", "--verbose", action="store_true", help="each check of the boot, and what took how long")


def add_wait(parser: Parser) -> None:
    """`--wait`, the same for every command that starts VMs."""
    parser.add_argument(
        "--wait",
        metavar="WHAT",
        choices=("agent", "ssh"),
        default="agent",
        help="ready when the `agent` answers (default), or its `ssh` server too",
    )


def waiting(options: Namespace) -> dict[str, str]:
    """What a request says of `--wait`: nothing for what is the default."""
    return {} if options.wait == "agent" else {"wait": options.wait}


def follow(context: Context, options: Namespace, *, path: str, body: object) -> Any:  # noqa: ANN401 - JSON
    """Send a request, show its progress, return its result."""
    verbose = getattr(options, "verbose", False)
    with (
        Progress.for_terminal(context.environment, quiet=options.quiet, verbose=verbose) as progress,
        context.open() as daemon,
    ):
        for message in daemon.follow(path, body):
            if "result" in message:
                return message["result"]
            progress.event(message)
    raise AssertionError("`follow` ends with a result or an error")


def run_on_targets(
    context: Context, options: Namespace, *, verb: str, done: str, more: Mapping[str, object] = NOTHING_MORE
) -> int:
    """Do `verb` to the VMs that the command line names. The rest is as in `act_on_targets`."""
    return act_on_targets(context, options, options.vm, verb=verb, done=done, more=more)


def act_on_targets(
    context: Context,
    options: Namespace,
    refs: Sequence[str],
    *,
    verb: str,
    done: str,
    more: Mapping[str, object] = NOTHING_MORE,
    remark: Callable[[VmView], str] = lambda _vm: "",
    names: Mapping[str, str] = NO_NAMES,
) -> int:
    """Do it; the exit status is that of the first that went wrong. One that fails does not stop the others.

    `more` is what the request says beside the VMs; `remark` is a line for a VM with which it went well; `names` is what
    to call those that were referred to by their ids.
    """
    body = {"refs": list(refs), **more}
    result: TargetsResult = follow(context, options, path=f"/v1/vms/{verb}", body=body)
    if options.json:
        context.write(render_json(result))
    status = exits.DONE
    for outcome in result["outcomes"]:
        called = names.get(outcome["ref"], outcome["ref"])
        if outcome["error"] is not None:
            failed = tell_failure(context, outcome["error"], called, quiet=options.json)
            status = status or failed
        elif not options.json and not options.quiet:
            vm = outcome["vm"]
            context.write(f"{printable(vm['name'] if vm is not None else called)} {done}\n")
            if vm is not None and (text := remark(vm)):
                context.tell(f"  {text}")
            if vm is not None and getattr(options, "verbose", False):
                context.tell(context.error_style.dim(render_bar(vm["timings_s"])))
    return status
