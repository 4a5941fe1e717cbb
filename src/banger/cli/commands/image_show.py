"""`banger image show`."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

from banger.cli.arguments import Parser, add_json
from banger.cli.available import add_which_platform, name_path, provenance_fields
from banger.cli.render import Style, count, format_time, render_fields, render_json, render_table, short_digest
from banger.core.names import parse_image_name
from banger.core.sizes import format_size
from banger.core.untrusted import printable

if TYPE_CHECKING:
    from banger.api.messages import ImageDetail
    from banger.cli.context import Context

USAGE = "NAME [--packages | --sbom] [--platform PLATFORM] [--json]"
DESCRIPTION = """\
Show everything about an image: where it came from and who vouches for it, its layers, which VMs use it.
--packages lists what is installed in it, as its own package manager (dpkg, apk or rpm) says."""
EXAMPLES = (
    ("banger image show debian-bookworm", ""),
    ("banger image show debian-bookworm --packages", "what is in it"),
    ("banger image show debian-bookworm --sbom", "for programs that look for known holes"),
    ("banger image show debian-bookworm --json", "everything, for programs"),
)


def declare(parser: Parser) -> None:
    parser.add_argument("name", metavar="NAME", type=parse_image_name, help="name of an image", completes="image")
    parser.add_argument("--packages", action="store_true", help="list the packages in it instead")
    parser.add_argument("--sbom", action="store_true", help="print the packages as a CycloneDX document (JSON)")
    add_which_platform(parser)
    add_json(parser)


def run(context: Context, options: Namespace) -> int:
    with context.open() as daemon:
        image: ImageDetail = daemon.get(name_path(options, kind="image"))
    if options.sbom:
        from banger.cli.sbom import describe_packages

        context.write(render_json(describe_packages(image)))
    elif options.json:
        context.write(render_json(image))
    elif not options.packages:
        context.write(render_image(image, context.style))
    elif image["packages"]:
        rows = [(package["name"], package["version"]) for package in image["packages"]]
        context.write(render_table(("PACKAGE", "VERSION"), rows, context.style))
    else:
        why = printable(image["packages_unknown"]) or "nothing is installed"
        context.tell(f"There is no list of packages of {image['name']}: {why}.")
    return 0


def render_image(image: ImageDetail, style: Style) -> str:
    """Names and values."""
    packages = image["packages"]
    fields = [
        ("name", image["name"]),
        ("digest", image["digest"]),
        ("architecture", image["architecture"]),
        ("size", format_size(image["size_bytes"])),
        ("init", image["init"] or "none: the agent is process 1"),
        ("source", image["source"]),
        *provenance_fields(image["provenance"]),
        (
            "layers",
            "\n".join(
                f"{short_digest(layer['digest'])} {format_size(layer['size_bytes'])}" for layer in image["layers"]
            ),
        ),
        ("kernel", image["kernel"] or ""),
        ("disk", format_size(image["disk_bytes"]) if image["disk_bytes"] else ""),
        (
            "packages",
            f"not known: {printable(image['packages_unknown'])}"
            if packages is None
            else count(len(packages), "package"),
        ),
        ("environment", "\n".join(f"{name}={value}" for name, value in image["environment"].items())),
        ("VMs", ", ".join(image["vms"])),
        ("created", format_time(image["created_at_s"])),
    ]
    return render_fields([field for field in fields if field[1]], style)
