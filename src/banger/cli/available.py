"""What `image` and `kernel` have in common: what catalogues have, deleting by name, where something came from."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

from banger.cli import exits
from banger.cli.arguments import Parser, add_json
from banger.cli.machine import add_platform
from banger.cli.outcomes import tell_failure
from banger.cli.render import render_json, render_table
from banger.cli.targets import add_quiet, follow
from banger.core.names import parse_image_name
from banger.core.sizes import format_size
from banger.core.untrusted import printable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from banger.api.messages import AvailableResult, AvailableView, ImageView, KernelView, NamesResult, ProvenanceView
    from banger.cli.context import Context

    Named = AvailableView | ImageView | KernelView


def add_available(parser: Parser, *, kind: str) -> None:
    """`--available`."""
    parser.add_argument("--available", action="store_true", help=f"list the {kind}s that catalogues have instead")


def add_names_only(parser: Parser) -> None:
    """`-q`, the same for every list of what has a name."""
    parser.add_argument("-q", "--quiet", action="store_true", help="print names only, one per line")


def write_names(context: Context, views: Iterable[Named]) -> None:
    """Print each name once, in the order given: one may exist for several platforms."""
    context.write("".join(f"{name}\n" for name in dict.fromkeys(printable(view["name"]) for view in views)))


def list_available(context: Context, options: Namespace, *, kind: str) -> int:
    """Print what catalogues have. Those that are not trusted are reported, and set the exit status."""
    names_only = options.quiet
    options.quiet = options.json or names_only
    answer: AvailableResult = follow(context, options, path=f"/v1/{kind}s/available", body={})
    if options.json:
        context.write(render_json(answer))
    elif names_only:
        write_names(context, answer["entries"])
    elif answer["entries"]:
        rows = [
            (
                entry["name"],
                entry["platform"],
                "yes" if entry["here"] else "",
                format_size(entry["size_bytes"]) if entry["size_bytes"] is not None else "",
                entry["catalogue"],
                entry["description"] or entry["source"],
            )
            for entry in answer["entries"]
        ]
        context.write(render_table(("NAME", "PLATFORM", "HERE", "SIZE", "CATALOGUE", "WHAT"), rows, context.style))
    status = exits.DONE
    for catalogue in answer["catalogues"]:
        if catalogue["error"] is not None:
            failed = tell_failure(context, catalogue["error"], catalogue["place"], quiet=options.json)
            status = status or failed
    return status


def add_which_platform(parser: Parser) -> None:
    """`--platform` where the same name may mean one for each."""
    add_platform(parser, "which one of that name (default: this computer's own, else whatever there is)")


def name_path(options: Namespace, *, kind: str) -> str:
    """Where the daemon has the one that is asked for."""
    platform = f"/{options.platform}" if options.platform else ""
    return f"/v1/{kind}s/{options.name}{platform}"


def declare_names(parser: Parser, *, kind: str) -> None:
    """The arguments of commands about several of them."""
    parser.add_argument(
        "name", metavar="NAME...", nargs="+", type=parse_image_name, help=f"names of {kind}s", completes=kind
    )
    add_which_platform(parser)
    add_json(parser)
    add_quiet(parser)


def delete_names(context: Context, options: Namespace, *, kind: str) -> int:
    """Delete them; one that cannot be deleted does not stop the others, but sets the exit status."""
    result: NamesResult = follow(
        context, options, path=f"/v1/{kind}s/delete", body={"names": options.name, "platform": options.platform}
    )
    if options.json:
        context.write(render_json(result))
    status = exits.DONE
    for outcome in result["outcomes"]:
        if outcome["error"] is not None:
            failed = tell_failure(context, outcome["error"], outcome["name"], quiet=options.json)
            status = status or failed
        elif not (options.json or options.quiet):
            context.write(f"{printable(outcome['name'])} deleted\n")
    return status


def provenance_fields(provenance: ProvenanceView) -> list[tuple[str, str]]:
    """Where something came from, as names and values; empty if unknown."""
    signer = provenance["signer"]
    if provenance["catalogue"] and signer:
        signer = f"{signer}, for the catalogue {provenance['catalogue']}"
    return [
        ("from", provenance["reference"]),
        ("what came", provenance["digest"]),
        ("made on", provenance.get("base", "")),
        ("vouched for", signer),
    ]
