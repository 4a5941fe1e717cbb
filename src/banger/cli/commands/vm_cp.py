"""`banger vm cp`."""

from __future__ import annotations

import os
from argparse import Namespace
from typing import TYPE_CHECKING

from banger.cli import exits
from banger.cli.arguments import Parser, add_json, vm_ref
from banger.cli.context import vm_path
from banger.cli.render import count, render_json
from banger.cli.targets import add_quiet, follow
from banger.core.errors import Invalid, NotFound
from banger.core.sizes import format_size
from banger.core.untrusted import printable

if TYPE_CHECKING:
    from banger.api.messages import CopyRequest, CopyResult
    from banger.cli.context import Context

USAGE = "SRC DEST [--force] [--json] [-q]"
DESCRIPTION = """\
Copy a file, or a directory with all that is below it, into a running VM or out of it. One of SRC and DEST
is VM:PATH; a path in the guest is absolute, or relative to the workspace, or to root's home if there is none.
A local path with a colon in it needs a slash before that: ./a:b.

If DEST is a directory, the copy goes into it under its own name; else DEST is what the copy is called.
It appears when it is complete, or not at all. A file takes the place of a file or a symbolic link, a
directory that of an empty one. Nothing is merged: with --force a directory replaces a whole directory.

Symbolic links inside SRC are copied as links; devices, sockets and pipes are left out. Modes and times
are kept, owners are not: in the guest it is all root's, here it is yours, and never setuid or writable for
others. A copy that would leave less than 1 GiB free on this computer is given up."""
EXAMPLES = (
    ("banger vm cp notes.txt box:.", "a file, into the workspace"),
    ("banger vm cp box:build/app ./app", "a file out of it"),
    ("banger vm cp assets box:/srv", "a tree; it is /srv/assets then"),
    ("banger vm cp box:/var/log ./box-log", "a tree, under another name"),
    ("banger vm cp --force assets box:/srv", "instead of what was in /srv/assets"),
)


def declare(parser: Parser) -> None:
    parser.add_argument("source", metavar="SRC", help="what is copied: PATH or VM:PATH")
    parser.add_argument("destination", metavar="DEST", help="where to: PATH or VM:PATH")
    parser.add_argument("-f", "--force", action="store_true", help="let a directory replace a directory")
    add_json(parser)
    add_quiet(parser)


def run(context: Context, options: Namespace) -> int:
    vm, request = plan_copy(options.source, options.destination, force=options.force)
    result: CopyResult = follow(context, options, path=vm_path(vm, "/copy"), body=request)
    if options.json:
        context.write(render_json(result))
    elif not options.quiet:
        context.tell(render_summary(result, vm if request["direction"] == "in" else None))
    return exits.DONE


def plan_copy(source: str, destination: str, *, force: bool) -> tuple[str, CopyRequest]:
    """The VM and what is asked of it. Raises `Invalid`, and `NotFound` for what is not on this computer."""
    if "-" in (source, destination):
        hint = "`banger vm exec VM -- cat FILE` prints a file, and `./-` is one of that name"
        raise Invalid("`-` is neither a file nor a VM's", hint=hint)
    from_vm, to_vm = split_guest(source), split_guest(destination)
    if (from_vm is None) == (to_vm is None):
        raise Invalid(
            "exactly one of SRC and DEST is in a VM",
            hint="write VM:PATH for it, for example `banger vm cp notes.txt box:.`",
        )
    if to_vm is not None:
        vm, path = to_vm
        directory, host_name, name = locate_source(source)
        return vm, _request("in", directory, host_name, path or ".", name=name, force=force)
    assert from_vm is not None
    vm, path = from_vm
    to_directory, copy_name = locate_destination(destination)
    return vm, _request("out", to_directory, copy_name, path or ".", name=None, force=force)


def split_guest(text: str) -> tuple[str, str] | None:
    """The VM and the path of `VM:PATH`; None for a path of this computer. Raises `Invalid` for no VM."""
    before, colon, path = text.partition(":")
    if not colon or "/" in before or before.startswith("."):
        return None
    return vm_ref(before), path


def locate_source(path: str) -> tuple[str, str, str]:
    """The directory of a source, free of links, its name there, and the name by which it was called."""
    real = os.path.realpath(path)
    if not os.path.lexists(real):
        raise NotFound(f"there is no {ascii(path)}", hint="check the name; what is in a VM is called VM:PATH")
    directory, name = os.path.split(real)
    called = os.path.basename(os.path.abspath(path))
    if not name or not called:
        raise Invalid("the root of this computer is not copied", hint="give a directory below it")
    return directory, name, called


def locate_destination(path: str) -> tuple[str, str | None]:
    """The directory of a destination, free of links, and the copy's name, None for its own. Raises `NotFound`."""
    if os.path.isdir(path):
        return os.path.realpath(path), None
    directory, name = os.path.split(path)
    if not path or not name:
        raise NotFound(f"there is no directory {ascii(path)}", hint="make it first, or leave the slash out")
    real = os.path.realpath(directory)
    if not os.path.isdir(real):
        raise NotFound(f"there is no directory {ascii(directory)}", hint="make it first")
    return real, name


def render_summary(result: CopyResult, vm: str | None) -> str:
    """What was copied, in one line."""
    things = [count(result["files"], "file")]
    if result["directories"]:
        number = result["directories"]
        things.append(count(number, "directory") if number == 1 else f"{number} directories")
    if result["links"]:
        things.append(count(result["links"], "link"))
    destination = printable(f"{vm}:{result['destination']}" if vm is not None else result["destination"])
    left_out = f"; {result['skipped']} left out" if result["skipped"] else ""
    return f"copied {', '.join(things)} ({format_size(result['size_bytes'])}) to {destination}{left_out}"


def _request(
    direction: str, directory: str, host_name: str | None, guest_path: str, *, name: str | None, force: bool
) -> CopyRequest:
    return {
        "direction": "in" if direction == "in" else "out",
        "host_directory": directory,
        "host_name": host_name,
        "guest_path": guest_path,
        "name": name,
        "replace": force,
    }
