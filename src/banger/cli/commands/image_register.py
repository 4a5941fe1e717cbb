"""`banger image register`."""

from __future__ import annotations

import os
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from banger.cli.arguments import Parser, add_json
from banger.cli.commands.image_pull import tell_image
from banger.cli.machine import add_platform
from banger.cli.targets import add_quiet, follow
from banger.core.errors import Invalid
from banger.core.names import parse_image_name

if TYPE_CHECKING:
    from banger.cli.context import Context

USAGE = "FILE --name NAME [--init PATH] [--platform PLATFORM] [--json] [-q]"
DESCRIPTION = """\
Use a file system image, EROFS or ext4, where it lies: nothing is copied, and VMs boot it read-only. A file
that changes afterwards is refused. `banger image promote` copies it into the store instead."""
EXAMPLES = (
    ("banger image register rootfs.ext4 --name mine", ""),
    ("banger image register rootfs.ext4 --name mine --init /lib/systemd/systemd", "one with systemd"),
)


def declare(parser: Parser) -> None:
    parser.add_argument("file", metavar="FILE", help="a file system image")
    parser.add_argument("--name", metavar="NAME", required=True, type=parse_image_name, help="name of the new image")
    parser.add_argument("--init", metavar="PATH", help="its systemd (default: none, the agent is process 1)")
    add_platform(parser, "what it is for, such as linux/arm64 (default: this computer's own)")
    add_json(parser)
    add_quiet(parser)


def run(context: Context, options: Namespace) -> int:
    path = os.path.realpath(options.file)
    if not Path(path).is_file():
        raise Invalid(f"{ascii(options.file)} is not a file", hint="give a file system image")
    body = {"name": options.name, "path": path, "init": options.init, "platform": options.platform}
    tell_image(context, options, follow(context, options, path="/v1/images/register", body=body))
    return 0
