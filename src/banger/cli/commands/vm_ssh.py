"""`banger vm ssh`."""

from __future__ import annotations

import os
import shlex
import sys
from argparse import Namespace
from collections.abc import Mapping
from typing import TYPE_CHECKING

from banger.cli.arguments import Parser, add_vm
from banger.cli.context import vm_path
from banger.cli.ssh_client import plan_proxy
from banger.core.errors import Invalid, Unavailable

if TYPE_CHECKING:
    from banger.api.messages import SshPlan
    from banger.cli.context import Context

USAGE = "VM [-t] [--print-config] [-- CMD ARGS...]"
DESCRIPTION = """\
Reach a running VM with the system's ssh. It needs no network in the VM, asks no question about keys, and
reads none of your ssh configuration. The image needs an ssh server; `banger vm exec` needs none.

With --print-config it prints a configuration for whatever uses ssh: scp, rsync, sshfs, editors."""
EXAMPLES = (
    ("banger vm ssh box", "a shell"),
    ("banger vm ssh box -- uptime", "one command"),
    ("banger vm ssh box --print-config > box.conf", "then, for example:"),
    ("scp -F box.conf notes.txt box.banger:", ""),
    ("rsync -e 'ssh -F box.conf' -a src box.banger:", ""),
)


def declare(parser: Parser) -> None:
    add_vm(parser)
    parser.add_argument("-t", "--tty", action="store_true", help="give the command a terminal")
    parser.add_argument("--print-config", action="store_true", help="print an ssh_config for this VM instead")
    parser.take_command()


def run(context: Context, options: Namespace) -> int:
    if options.print_config and (options.command or options.tty):
        raise Invalid("--print-config takes no command", hint="leave the command out")
    with context.open() as daemon:
        plan: SshPlan = daemon.get(vm_path(options.vm, "/ssh"))
    if options.print_config:
        context.write(render_config(plan, environment=context.environment))
        return 0
    argv = plan_ssh(plan, command=options.command, tty=options.tty)
    sys.stdout.flush()
    try:
        os.execvp(argv[0], argv)  # noqa: S606 - we become ssh: its terminal, its signals, its status
    except OSError as error:
        raise Unavailable(
            f"ssh cannot be run: {error.strerror}", hint="install openssh-client, or use `banger vm exec`"
        ) from error


def plan_ssh(plan: SshPlan, *, command: list[str] | None, tty: bool) -> list[str]:
    """The argument vector. ssh joins a command with spaces for the remote shell: each word is quoted for it."""
    argv = ["ssh", "-F", "none"]
    for option in (*plan["options"], f"ProxyCommand={plan_proxy(plan['vm']['id'])}"):
        argv += ["-o", option]
    if tty:
        argv += ["-t", "-t"]
    argv += ["-l", plan["user"], "--", plan["host_alias"]]
    return argv + [shlex.quote(word) for word in command or ()]


def render_config(plan: SshPlan, *, environment: Mapping[str, str]) -> str:
    """A Host block."""
    options = [option.partition("=")[::2] for option in plan["options"]]
    options += [("User", plan["user"]), ("ProxyCommand", plan_proxy(plan["vm"]["id"], environment=environment))]
    return f"Host {plan['host_alias']}\n" + "".join(f"  {name} {value}\n" for name, value in options)
