"""`banger vm set`."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

from banger.cli.arguments import Parser
from banger.cli.machine import NO_CHANGE, declare_sizes
from banger.cli.targets import act_on_targets, declare_targets
from banger.core.errors import Invalid
from banger.core.untrusted import printable

if TYPE_CHECKING:
    from banger.api.messages import VmView
    from banger.cli.context import Context

USAGE = "VM... [--vcpu N] [--memory SIZE] [--disk SIZE] [--nat | --no-nat] [--ttl TIME] [options]"
DESCRIPTION = """\
Change what VMs are. Processors, memory, disk and network change at the next start, and the command says
so for VMs that run. A disk can grow and not shrink; its file system grows with it."""
EXAMPLES = (
    ("banger vm set box --vcpu 4 --memory 8G", ""),
    ("banger vm set box --disk 50G", "the guest has the space after `banger vm restart box`"),
    ("banger vm set box otter --no-nat", "no way out for both"),
    ("banger vm set box --ttl 2h", "deleted two hours from now; `--ttl 0` keeps it"),
)


def declare(parser: Parser) -> None:
    declare_targets(parser)
    declare_sizes(parser)


def run(context: Context, options: Namespace) -> int:
    more = {
        **NO_CHANGE,
        "vcpu": options.vcpu,
        "memory_mib": options.memory,
        "disk_bytes": options.disk,
        "nat": options.nat,
        "ttl_s": options.ttl,
    }
    if more == NO_CHANGE:
        raise Invalid("there is nothing to change", hint="`banger vm set --help` shows what can be changed")
    return act_on_targets(context, options, options.vm, verb="set", done="changed", more=more, remark=remark)


def remark(vm: VmView) -> str:
    """What waits for the next start of a VM that runs."""
    if not vm["restart_needed"]:
        return ""
    parts = ", ".join(vm["restart_needed"])
    return f"{parts}: from its next start on; `banger vm restart {printable(vm['name'])}` does it now"
