"""`banger completion install`."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

from banger.cli.arguments import Parser
from banger.cli.render import render_json
from banger.cli.shells import bash_completion_is_there, choose_shell, declare_shell, install, plan_place
from banger.core.untrusted import printable

if TYPE_CHECKING:
    from banger.cli.context import Context

USAGE = "[--shell bash|zsh|fish] [--json]"
DESCRIPTION = """\
Make your shell complete banger's commands, options, and names of VMs, images and kernels, from its next start
on. bash and fish find a file in your home by themselves; zsh is told by one line between two marks in .zshrc.
Doing it again changes nothing, or brings an older one up to date."""
EXAMPLES = (
    ("banger completion install", "for the shell that SHELL names"),
    ("banger completion install --shell zsh", ""),
    ("banger completion install --shell fish --json", ""),
)


def declare(parser: Parser) -> None:
    declare_shell(parser)


def run(context: Context, options: Namespace) -> int:
    shell = choose_shell(options.shell, context.environment)
    place = plan_place(shell, context.environment)
    changed = install(shell, place)
    if options.json:
        context.write(render_json({"shell": shell, "script": str(place.script), "changed": changed}))
        return 0
    where = printable(str(place.rc or place.script), limit=200)
    context.write(f"{shell} completes banger from its next start on: {where}\n" if changed else f"already in {where}\n")
    if shell == "bash" and not bash_completion_is_there():
        context.tell("bash finds it with the package bash-completion, which is not installed;")
        context.tell("or put this into ~/.bashrc: source <(banger completion bash)")
    return 0
