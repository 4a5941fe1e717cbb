"""`banger image import`."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from banger.cli.arguments import Parser, add_json
from banger.cli.commands.image_pull import tell_image
from banger.cli.machine import add_platform
from banger.cli.targets import add_quiet, follow
from banger.core.errors import Invalid
from banger.core.names import parse_image_name

if TYPE_CHECKING:
    from banger.api.messages import ImportRequest
    from banger.cli.context import Context

USAGE = "PATH --name NAME [--tag TAG] [--platform PLATFORM] [--json] [-q]"
DESCRIPTION = """\
Make an image from what other tools wrote: a tar of a root directory, an archive of `docker save` or
`podman save`, an OCI archive, or the directory of an OCI image layout; archives also compressed by gzip
or zstd. The image boots unmodified, with its own init or without any. `-` reads standard input."""
EXAMPLES = (
    ("banger image import rootfs.tar --name tiny", ""),
    ("banger image import - --name tiny < rootfs.tar", "from standard input"),
    ("xz -dc rootfs.tar.xz | banger image import - --name tiny", "compressed by something else"),
    ("banger image import app.tar.gz --name app", "what `docker save app | gzip` wrote"),
    ("banger image import layout/ --tag 1.2 --name app", "one of several in an image layout"),
    ("banger vm run --image tiny --rm --no-workspace -- ls /", "use it"),
)


def declare(parser: Parser) -> None:
    parser.add_argument("path", metavar="PATH", help="an archive, an image layout, or - for standard input")
    parser.add_argument("--name", metavar="NAME", required=True, type=parse_image_name, help="name of the new image")
    parser.add_argument("--tag", metavar="TAG", help="which image, where there are several")
    add_platform(parser, "which one, or what it has to be for (default: this computer's own)")
    add_json(parser)
    add_quiet(parser)


def run(context: Context, options: Namespace) -> int:
    with archive_path(context, options.path) as path:
        body: ImportRequest = {"name": options.name, "path": path, "tag": options.tag}
        if options.platform is not None:
            body["platform"] = options.platform
        tell_image(context, options, follow(context, options, path="/v1/images/import", body=body))
    return 0


@contextmanager
def archive_path(context: Context, name: str) -> Iterator[str]:
    """The absolute path that the daemon can read. Raises `Invalid`.

    Standard input goes into a file without a name, which the daemon reaches through us: nothing is left, however
    this ends.
    """
    if name != "-":
        path = os.path.abspath(name)
        if not Path(path).is_file() and not (Path(path) / "oci-layout").is_file():
            what = "is not an archive and no image layout" if os.path.lexists(path) else "is not there"
            raise Invalid(f"{ascii(name)} {what}", hint="give an archive, an image layout, or - for standard input")
        yield path
        return
    if os.isatty(0):
        raise Invalid("standard input is a terminal", hint="pipe a tar archive into it")
    context.layout.cache.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=context.layout.cache) as file:
        shutil.copyfileobj(sys.stdin.buffer, file, 1 << 20)
        file.flush()
        yield f"/proc/{os.getpid()}/fd/{file.fileno()}"
