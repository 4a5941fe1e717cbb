"""`banger lock`."""

from __future__ import annotations

import os
import secrets
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from banger.cli.arguments import Parser, add_json
from banger.cli.machine import add_platform, parse_image
from banger.cli.render import render_json, short_digest
from banger.cli.repository import find_repository
from banger.cli.targets import add_quiet, follow
from banger.core.errors import Failed
from banger.core.lock_file import LOCK_FILE, Lock, Pin, render_lock
from banger.core.names import parse_image_name
from banger.core.untrusted import printable

if TYPE_CHECKING:
    from banger.api.messages import LockView
    from banger.cli.context import Context

USAGE = "[PATH] [--image IMAGE] [--kernel KERNEL] [--platform PLATFORM] [--json] [-q]"
DESCRIPTION = """\
Pin the image and the kernel that the VMs of a repository boot: write their digests, and where they come
from, into banger.lock at its top, for `banger vm run --locked`. What is not here is pulled first."""
EXAMPLES = (
    ("banger lock", "the defaults"),
    ("banger lock --image alpine:3.20", "an image of a registry"),
    ("banger vm run --locked --rm . -- make test", "exactly these, or an error"),
)


def declare(parser: Parser) -> None:
    parser.add_argument(
        "path", metavar="PATH", nargs="?", default=".", help="the repository (default: here)", completes="directory"
    )
    parser.add_argument("--image", metavar="IMAGE", type=parse_image, help="default: the one that VMs get")
    parser.add_argument("--kernel", metavar="KERNEL", type=parse_image_name, help="default: the one that VMs get")
    add_platform(parser, "which one of the image's, such as linux/arm64 (default: this computer's own)")
    add_json(parser)
    add_quiet(parser)


def run(context: Context, options: Namespace) -> int:
    file = os.path.join(find_repository(options.path), LOCK_FILE)
    body = {"image": options.image, "kernel": options.kernel, "platform": options.platform}
    pins: LockView = follow(context, options, path="/v1/lock", body=body)
    write(file, render_lock(Lock(Pin(**pins["image"]), Pin(**pins["kernel"]))))
    if options.json:
        context.write(render_json({"file": file, **pins}))
    elif not options.quiet:
        shown = [f"{printable(pin['name'])} {short_digest(pin['digest'])}" for pin in (pins["image"], pins["kernel"])]
        context.write(f"{printable(os.path.relpath(file))}: {', '.join(shown)}\n")
    return 0


def write(file: str, content: bytes) -> None:
    """Replace a file of the user's; what is there, a symbolic link too, stays whole until then. Raises `Failed`."""
    draft = Path(f"{file}.{secrets.token_hex(4)}")
    try:
        try:
            with draft.open("xb") as output:
                output.write(content)
            draft.replace(file)
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        raise Failed(f"{printable(file)} cannot be written: {error.strerror}", hint="see who may write it") from error
