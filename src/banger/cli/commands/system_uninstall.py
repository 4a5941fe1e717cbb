"""`banger system uninstall`."""

from __future__ import annotations

import time
from argparse import Namespace
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from banger.cli import exits
from banger.cli.arguments import Parser, add_json
from banger.cli.asking import ask, check_somebody_answers
from banger.cli.commands.vm_list import render_vms
from banger.cli.dotfiles import remove_block
from banger.cli.outcomes import tell_failure
from banger.cli.render import count, render_json
from banger.cli.service import UserService
from banger.cli.shells import SHELLS, plan_place, uninstall
from banger.cli.ssh_wildcard import plan_include, plan_user_file
from banger.cli.targets import add_quiet, follow
from banger.cli.wiping import remove_below
from banger.core.errors import Unsupported
from banger.core.untrusted import printable

if TYPE_CHECKING:
    from banger.api.messages import TargetsResult, VmView
    from banger.cli.context import Context

USAGE = "[--purge] [-f] [--json] [-q]"
DESCRIPTION = """\
End the daemon and remove what banger put elsewhere than into its own directories: the service, completions,
the Include in ~/.ssh/config. VMs, images and kernels stay, and VMs keep running.

With --purge they go too: every VM with its disk, running ones as well, images, kernels, downloads, logs and
keys. It shows the VMs and asks. Your configuration file stays. The program itself goes with what installed
it, for example `pipx uninstall banger`."""
EXAMPLES = (
    ("banger system uninstall", "VMs stay"),
    ("banger system uninstall --purge", "shows what would go, and asks"),
    ("banger system uninstall --purge -f", "does not ask"),
)


def declare(parser: Parser) -> None:
    parser.add_argument("--purge", action="store_true", help="delete all VMs, images, kernels and logs as well")
    parser.add_argument("-f", "--force", action="store_true", help="do not ask")
    add_json(parser)
    add_quiet(parser)


def run(context: Context, options: Namespace) -> int:
    vms = list_vms(context)
    if options.purge:
        if not options.force and not confirm(context, vms):
            context.tell("Nothing was removed.")
            return exits.FAILED
        if vms and (status := delete_all(context, options, vms)):
            context.tell("Nothing else was removed, because these VMs are still there.")
            return status
    removed = remove_installed(context)
    context.daemon.stop(context.tell)
    if options.purge:
        removed += [str(directory) for directory in plan_purge(context) if remove_below(directory)]
    if options.json:
        context.write(render_json({"removed": removed, "deleted_vms": len(vms) if options.purge else 0}))
        return exits.DONE
    for path in removed:
        context.write(f"removed {printable(path, limit=300)}\n")
    if not removed:
        context.write("There was nothing to remove.\n")
    if vms and not options.purge and not options.quiet:
        context.tell(f"{count(len(vms), 'VM')} stay; `banger system uninstall --purge` removes everything.")
    return exits.DONE


def list_vms(context: Context) -> list[VmView]:
    """All VMs. Where banger was never used, no daemon is started to say that there is none."""
    if not context.layout.database.exists():
        return []
    with context.open() as daemon:
        listed: list[VmView] = daemon.get("/v1/vms")["vms"]
    return listed


def confirm(context: Context, vms: list[VmView]) -> bool:
    """Show what would go and ask. Raises `Invalid` where nobody can answer."""
    check_somebody_answers(hint="give -f to remove without asking")
    if vms:
        context.tell(render_vms(vms, context.error_style, now_s=time.time()).removesuffix("\n"))
    for directory in plan_purge(context):
        context.tell(f"  {printable(str(directory), limit=300)}")
    return ask(f"Delete {count(len(vms), 'VM')} and everything in these directories?")


def delete_all(context: Context, options: Namespace, vms: list[VmView]) -> int:
    """Delete them; the exit status of the first that is still there."""
    body = {"refs": [vm["id"] for vm in vms]}
    result: TargetsResult = follow(context, options, path="/v1/vms/delete", body=body)
    names = {vm["id"]: vm["name"] for vm in vms}
    status = exits.DONE
    for outcome in result["outcomes"]:
        if outcome["error"] is not None:
            failed = tell_failure(context, outcome["error"], names.get(outcome["ref"], outcome["ref"]), quiet=False)
            status = status or failed
    return status


def remove_installed(context: Context) -> list[str]:
    """Take back what `install` commands put into the user's own directories; what that was."""
    removed: list[str] = []
    service = UserService(context)
    if service.remove():
        removed.append(str(service.path))
    for shell in SHELLS:
        place = plan_place(shell, context.environment)
        if uninstall(place):
            removed.append(str(place.script))
    config = context.layout.config / "ssh_config"
    user_file = plan_user_file(context.environment)
    with suppress(Unsupported):  # a name that ssh cannot include was never included
        if remove_block(user_file, plan_include(config)):
            removed.append(f"the Include in {user_file}")
    if config.exists():
        config.unlink()
        removed.append(str(config))
    return removed


def plan_purge(context: Context) -> list[Path]:
    """The directories that are banger's alone. The configuration is the user's."""
    layout = context.layout
    return [layout.state, layout.cache, layout.run]
