"""`banger image pull`."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

from banger.cli.arguments import Parser, add_json
from banger.cli.machine import add_platform, parse_disk
from banger.cli.render import render_json, short_digest
from banger.cli.targets import add_quiet, follow
from banger.core.names import parse_image_name
from banger.core.sizes import format_size
from banger.core.untrusted import printable

if TYPE_CHECKING:
    from banger.api.messages import ImageView, PullRequest
    from banger.cli.context import Context

USAGE = "[IMAGE] [options] [--json] [-q]"
DESCRIPTION = """\
Make an image, and the default kernel with it, ready for use. The default is debian-bookworm, made from
Debian's signed archive. Any image of a registry will do: REPOSITORY:TAG or REPOSITORY@DIGEST, on Docker
Hub unless a host stands before it; logins are those of Docker and Podman. What is here already is not
fetched again, a pull that was interrupted goes on, and a tag that has moved is followed."""
EXAMPLES = (
    ("banger image pull", "debian-bookworm"),
    ("banger image pull alpine:3.20 --platform linux/arm64", "for another processor, which is emulated"),
    ("banger image pull debian-bookworm --json", "for programs"),
    ("banger image pull alpine:3.20", "from Docker Hub, as alpine-3-20"),
    ("banger image pull debian-bookworm --size 20GiB", "its VMs get larger disks from now on"),
    ("banger image pull registry.example.com/team/app:1.2 --name app", "from another registry"),
)


def declare(parser: Parser) -> None:
    parser.add_argument(
        "image",
        metavar="IMAGE",
        nargs="?",
        default="debian-bookworm",
        help="default: debian-bookworm",
        completes="image-to-pull",
    )
    parser.add_argument("--name", metavar="NAME", type=parse_image_name, help="name for an image from a registry")
    parser.add_argument("--size", metavar="SIZE", type=parse_disk, help="disk size for its VMs, such as 4GiB")
    parser.add_argument("--kernel", metavar="KERNEL", type=parse_image_name, help="kernel for its VMs")
    add_platform(parser, "which one of the image's, such as linux/arm64 (default: this computer's own)")
    add_json(parser)
    add_quiet(parser)


def run(context: Context, options: Namespace) -> int:
    body: PullRequest = {"image": options.image, "name": options.name}
    if options.platform is not None:
        body["platform"] = options.platform
    if options.kernel is not None:
        body["kernel"] = options.kernel
    if options.size is not None:
        body["disk_bytes"] = options.size
    image: ImageView = follow(context, options, path="/v1/images/pull", body=body)
    tell_image(context, options, image)
    return 0


def tell_image(context: Context, options: Namespace, image: ImageView) -> None:
    """One line, or the document, about an image that is ready now."""
    if options.json:
        context.write(render_json(image))
    elif not options.quiet:
        size = format_size(image["size_bytes"])
        context.write(f"{printable(image['name'])} {printable(short_digest(image['digest']))} {size}\n")
