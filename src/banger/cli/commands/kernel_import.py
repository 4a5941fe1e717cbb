"""`banger kernel import`."""

from __future__ import annotations

import os
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from banger.cli.arguments import Parser, add_json
from banger.cli.commands.kernel_pull import tell_kernel
from banger.cli.targets import add_quiet, follow
from banger.core.errors import Invalid
from banger.core.names import parse_image_name

if TYPE_CHECKING:
    from banger.cli.context import Context

USAGE = "FILE --name NAME [--modules PATH] [--config FILE] [--json] [-q]"
DESCRIPTION = """\
Make a kernel from a bzImage or vmlinux (x86_64) or an Image (aarch64), with its modules. It is looked at
first: what guests need and it lacks is named. Where it has no modules, its configuration has to say what
is built in: the one that it carries (CONFIG_IKCONFIG), or --config."""
EXAMPLES = (
    (
        "banger kernel import bzImage --name mine --modules modules/lib/modules/6.1.0",
        "from a build",
    ),
    ("banger kernel import bzImage --name plain --config .config", "everything built in"),
    ("banger vm run --kernel mine --rm --no-workspace -- uname -r", "use it"),
)


def declare(parser: Parser) -> None:
    parser.add_argument("file", metavar="FILE", help="the kernel")
    parser.add_argument("--name", metavar="NAME", required=True, type=parse_image_name, help="name of the new kernel")
    parser.add_argument("--modules", metavar="PATH", help="lib/modules/RELEASE, or a tar of it")
    parser.add_argument("--config", metavar="FILE", help="the configuration that it was built with")
    add_json(parser)
    add_quiet(parser)


def run(context: Context, options: Namespace) -> int:
    body = {
        "name": options.name,
        "path": _absolute(options.file),
        "modules": None if options.modules is None else _absolute(options.modules),
        "config": None if options.config is None else _absolute(options.config),
    }
    tell_kernel(context, options, follow(context, options, path="/v1/kernels/import", body=body))
    return 0


def _absolute(name: str) -> str:
    path = os.path.abspath(name)
    if not Path(path).exists():
        raise Invalid(f"{ascii(name)} is not there", hint="give an existing file")
    return path
