"""`banger vm run`."""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from banger.cli import exits
from banger.cli.arguments import Parser
from banger.cli.guest import declare_environment, exchange, guest_environment, parse_environment, plan_pty
from banger.cli.machine import declare_machine
from banger.cli.progress import Progress
from banger.cli.render import format_duration, render_bar, render_json
from banger.cli.repository import pin_view, read_lock
from banger.cli.targets import add_quiet, add_verbose, add_wait
from banger.cli.workspace_options import (
    add_workspace_options,
    check_without_workspace,
    declare_workspace,
    show_plan,
    workspace_options,
)
from banger.core.errors import BangerError, Invalid
from banger.core.names import parse_vm_name
from banger.core.sizes import MIB, format_size

if TYPE_CHECKING:
    from banger.api.messages import RunRequest, VmView
    from banger.cli.context import Context

USAGE = "[PATH] [options] [-- CMD ARGS...]"
DESCRIPTION = """\
Make a VM, put the repository at PATH in, and run CMD in it. Without CMD it is a shell, or the program
of an image that has one and no init. The exit status is CMD's. Without PATH it is the repository that
you are in, if you are in one. Only tracked files travel, with your changes to them, and enough history
for `git log`, `git diff` and `git commit`.

The tools of mise.toml and .tool-versions are installed by the guest's mise, which debian-dev has and which
needs --nat: before CMD, and behind a shell, as a job that `banger vm jobs` tells of. A devcontainer.json
decides on image, user, variables and first commands, as far as a VM can be given what it asks for.

The VM keeps running afterwards, unless --rm deletes it. It has no network, unless --nat lets it out.
The first run makes the default image, which takes a minute or two."""
EXAMPLES = (
    ("banger vm run", "a shell, with the repository that you are in"),
    ("banger vm run . -- make test", "run, print, exit with its status"),
    ("banger vm run --rm . -- sh -c 'exit 42'", "exits with 42 and leaves nothing"),
    ("banger vm run -d --name box .", "ready and detached; prints its name"),
    ("banger vm run -d . --json", "the same for programs"),
    ("banger vm run --dry-run", "the files that would go in, and nothing is done"),
    ("banger vm run -d --name box --branch try --from HEAD~1 .", "a new branch in the guest, from an older commit"),
    ("banger vm run --no-workspace --rm -- uname -a", "just a machine"),
    ("banger vm run --image alpine:3.20 --platform arm64 --rm -- uname -m", "for another processor, emulated"),
    ("banger vm run --image debian-dev --nat . -- make test", "with the tools of mise.toml"),
    ("banger vm run --nat --vcpu 4 --memory 8G --disk 50G", "bigger, with a way out"),
)


def declare(parser: Parser) -> None:
    parser.add_argument(
        "path", metavar="PATH", nargs="?", help="a directory of a git repository", completes="directory"
    )
    parser.add_argument("--name", metavar="NAME", type=parse_vm_name, help="the VM's name (default: one is made up)")
    declare_machine(parser)
    parser.add_argument("--locked", action="store_true", help="boot exactly what the repository's banger.lock says")
    parser.add_argument("--rm", action="store_true", help="delete the VM when the command or shell ends")
    parser.add_argument("-d", "--detach", action="store_true", help="make it ready, print its name, and return")
    parser.add_argument(
        "--no-bootstrap",
        dest="bootstrap",
        action="store_false",
        help="ignore what the repository asks for: tools, devcontainer.json",
    )
    parser.add_argument("--no-workspace", action="store_true", help="make a VM without a repository")
    declare_workspace(parser)
    declare_environment(parser)
    add_wait(parser)
    parser.add_argument("--json", action="store_true", help="with -d or --dry-run, print one JSON document")
    add_quiet(parser)
    add_verbose(parser)
    parser.take_command()


def run(context: Context, options: Namespace) -> int:
    check_combination(options)
    path = find_path(options, directory=os.fspath(Path.cwd()))
    if path is None:
        check_without_workspace(options)
    elif options.dry_run:
        asked = workspace_options(options)
        show_plan(context, path, asked, as_json=options.json, bootstrap=options.bootstrap, new=True)
        return exits.DONE
    example = "banger vm run . -- CMD"
    pty = (
        None
        if options.detach
        else plan_pty(options.command, tty=options.tty, example=example, shell=options.image is None)
    )
    environment = guest_environment(options, context.environment, pty=pty is not None)
    request: RunRequest = {
        "name": options.name,
        "path": path,
        "image": options.image,
        "vcpu": options.vcpu,
        "memory_mib": options.memory,
        "disk_bytes": options.disk,
        "nat": options.nat,
        "ttl_s": options.ttl,
        "ephemeral": options.rm,
        "detach": options.detach,
        "command": options.command,
        "pty": pty,
        "stdin": not options.detach,
        "environment": environment,
    }
    add_choices(request, options)
    with Progress.for_terminal(context.environment, quiet=options.quiet, verbose=options.verbose) as progress:
        if path is None and not options.no_workspace:
            progress.notice("you are not in a git repository: the VM gets no workspace")
        ready = Ready(progress, shell=options.command is None, detach=options.detach, verbose=options.verbose)
        result = exchange(
            context,
            path="/v1/vms/run",
            request=request,
            stdin=request["stdin"],
            pty=pty is not None,
            running=False,
            on_event=ready.event,
        )
    vm: VmView | None = result["vm"]
    if vm is not None and options.detach:
        context.write(render_json(vm) if options.json else vm["name"] + "\n")
    elif vm is not None and not options.quiet and (options.command is None or sys.stderr.isatty()):
        context.tell(context.error_style.dim(reminder(vm["name"])))
    status: int = result["status"]
    return status


def add_choices(request: RunRequest, options: Namespace) -> None:
    """Add what a request only has where it was asked for."""
    if not options.bootstrap:
        request["bootstrap"] = False
    add_workspace_options(request, options)
    if options.wait != "agent":
        request["wait"] = options.wait
    if options.platform is not None:
        request["platform"] = options.platform
    if options.kernel is not None:
        request["kernel"] = options.kernel
    if options.locked:
        try:
            lock = read_lock(request["path"] or os.curdir)
        except BangerError as error:
            error.data["refused"] = True
            raise
        request["lock"] = {"image": pin_view(lock.image), "kernel": pin_view(lock.kernel)}


class Ready:
    """Turns the events of `run` into progress; the command's turn is in the middle of it."""

    def __init__(self, progress: Progress, *, shell: bool, detach: bool, verbose: bool) -> None:
        self._progress = progress
        self._verbose = verbose
        self._says_so = shell or detach or sys.stderr.isatty()
        self._vm: VmView | None = None

    def event(self, event: dict[str, Any]) -> None:
        """Show one event."""
        if event["event"] == "vm":
            self._vm = event["vm"]
        elif event["event"] == "ready":
            if self._verbose and self._vm is not None:
                self._progress.done(render_bar(self._vm["timings_s"]))
            if self._says_so:
                self._progress.done(self._sentence(float(event["elapsed_s"])))
            self._progress.share()
        else:
            self._progress.event(event)

    def _sentence(self, elapsed_s: float) -> str:
        if self._vm is None:
            return f"ready in {format_duration(elapsed_s)}"
        memory, disk = format_size(self._vm["memory_mib"] * MIB), format_size(self._vm["disk_bytes"])
        spec = f"{self._vm['vcpu']} vCPU | {memory} memory | {disk} disk"
        return f"{self._vm['name']} is ready in {format_duration(elapsed_s)} ({spec})"


def check_combination(options: Namespace) -> None:
    """Raise `Invalid` for flags that exclude each other, before anything else is looked at."""
    if options.detach and options.rm:
        raise Invalid(
            "-d and --rm exclude each other", hint="delete a detached VM with `banger vm delete` when it is done"
        )
    if options.detach and options.command is not None:
        raise Invalid("-d and a command exclude each other", hint="run it afterwards: `banger vm exec NAME -- CMD`")
    if options.json and not (options.detach or options.dry_run):
        raise Invalid("--json is for -d and --dry-run", hint="the guest's own output is printed as it is")
    if options.detach and options.tty:
        raise Invalid("-d and -t exclude each other", hint="give -t to `banger vm exec` afterwards")
    if options.detach and options.env:
        raise Invalid("-d and -e exclude each other", hint="give -e to `banger vm exec` afterwards")
    if options.path is not None and options.no_workspace:
        raise Invalid("PATH and --no-workspace exclude each other", hint="leave one of them out")
    if options.locked and (options.image or options.kernel or options.platform):
        raise Invalid("--locked says itself which image and kernel", hint="leave --image, --kernel and --platform out")
    parse_environment(options.env)


def find_path(options: Namespace, *, directory: str) -> str | None:
    """The absolute directory whose repository goes in; None for none. Raises `Invalid`."""
    if options.path is not None:
        path = os.path.abspath(os.path.join(directory, options.path))
        if not os.path.isdir(path):
            what = "is not a directory" if os.path.lexists(path) else "is not there"
            hint = "a command for the guest goes after `--`" if os.sep not in options.path else "name a git repository"
            raise Invalid(f"{ascii(options.path)} {what}", hint=hint)
        return path
    if options.no_workspace:
        return None
    while not os.path.lexists(os.path.join(directory, ".git")):
        parent = os.path.dirname(directory)
        if parent == directory:
            return None
        directory = parent
    return directory


def reminder(name: str) -> str:
    """What to do with a VM that still runs."""
    return f"{name} is still running: `banger vm exec {name}` gets back in, `banger vm delete {name}` removes it"
