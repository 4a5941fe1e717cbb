"""`banger vm create`."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

from banger.cli.arguments import Parser, add_json
from banger.cli.machine import chosen, declare_machine
from banger.cli.render import render_bar, render_json
from banger.cli.targets import add_quiet, add_verbose, add_wait, follow, waiting
from banger.core.names import parse_vm_name
from banger.core.untrusted import printable

if TYPE_CHECKING:
    from banger.api.messages import CreateRequest, VmView
    from banger.cli.context import Context

USAGE = "[NAME] [options]"
DESCRIPTION = """\
Make a VM that stays, and start it, with no repository in it. Prints its name. `banger vm run` is the
command for working on a repository."""
EXAMPLES = (
    ("banger vm create box", "made and started"),
    ("banger vm create --no-start --memory 8G --disk 50G big", "for later: `banger vm start big`"),
    ("banger vm create --ttl 2h --nat", "deleted two hours from now"),
)


def declare(parser: Parser) -> None:
    parser.add_argument(
        "name", metavar="NAME", nargs="?", type=parse_vm_name, help="the VM's name (default: one is made up)"
    )
    declare_machine(parser)
    parser.add_argument("--no-start", action="store_true", help="only make it")
    add_json(parser)
    add_quiet(parser)
    add_verbose(parser)
    add_wait(parser)


def run(context: Context, options: Namespace) -> int:
    body: CreateRequest = {
        "name": options.name,
        "image": options.image,
        "vcpu": options.vcpu,
        "memory_mib": options.memory,
        "disk_bytes": options.disk,
        "nat": options.nat,
        "ttl_s": options.ttl,
        "start": not options.no_start,
    }
    vm: VmView = follow(context, options, path="/v1/vms/create", body={**body, **chosen(options), **waiting(options)})
    context.write(render_json(vm) if options.json else f"{printable(vm['name'])}\n")
    if options.verbose and not options.json and not options.no_start:
        context.tell(context.error_style.dim(render_bar(vm["timings_s"])))
    return 0
