"""`banger image save`."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

from banger.cli.arguments import Parser, add_json, add_vm
from banger.cli.commands.image_pull import tell_image
from banger.cli.targets import add_quiet, follow
from banger.core.names import parse_image_name

if TYPE_CHECKING:
    from banger.cli.context import Context

USAGE = "VM NAME [--json] [-q]"
DESCRIPTION = """\
Make an image from a stopped VM: everything on its disk, with owners, modes, links, devices and extended
attributes, and started as the VM's own image says. What makes the VM this VM is left out: host name,
machine id, ssh keys, resolver, and files that the configuration copies into each VM; so is what is in
/tmp. The VM is not changed, and may be started again as soon as its disk is copied. It is done in a VM
of banger's own, which is deleted afterwards."""
EXAMPLES = (
    ("banger image save box tools", ""),
    ("banger vm run --image tools --rm --no-workspace -- make --version", "use it"),
)


def declare(parser: Parser) -> None:
    add_vm(parser)
    parser.add_argument("name", metavar="NAME", type=parse_image_name, help="name of the new image")
    add_json(parser)
    add_quiet(parser)


def run(context: Context, options: Namespace) -> int:
    body = {"vm": options.vm, "name": options.name}
    tell_image(context, options, follow(context, options, path="/v1/images/save", body=body))
    return 0
