"""`banger ssh-config`."""

from __future__ import annotations

import os
import pwd
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from banger.cli.arguments import Parser, add_json
from banger.cli.dotfiles import put_block, remove_block
from banger.cli.render import render_json
from banger.cli.ssh_wildcard import plan_include, plan_user_file, render_wildcard
from banger.core.errors import Invalid
from banger.core.files import write_durably
from banger.core.untrusted import printable

if TYPE_CHECKING:
    from banger.api.messages import SshDefaults
    from banger.cli.context import Context

USAGE = "[--install | --uninstall] [--json]"
DESCRIPTION = """\
Let everything that uses the system's ssh reach VMs by their names: `ssh box.vm`, scp, rsync, sshfs, git, and
editors that work over ssh, such as VS Code's and JetBrains'. It needs no network in the VM, asks no question
about keys, and changes nothing for other hosts. The VM runs, and its image has an ssh server.

Without an option it prints the configuration. --install writes it to a file of its own and has one Include,
between two marks, at the beginning of ~/.ssh/config; doing it again changes nothing. OpenSSH 8.5 is needed."""
EXAMPLES = (
    ("banger ssh-config --install", "once; then, for example:"),
    ("ssh box.vm uptime", ""),
    ("rsync -a src box.vm:src", ""),
    ("code --remote ssh-remote+box.vm /root/project", "VS Code"),
    ("banger ssh-config --uninstall", "as it was before"),
    ("banger ssh-config > vms.conf", "for `ssh -F vms.conf`, and nothing else"),
)


def declare(parser: Parser) -> None:
    parser.add_argument("--install", action="store_true", help="include it from ~/.ssh/config")
    parser.add_argument("--uninstall", action="store_true", help="remove the Include from ~/.ssh/config")
    add_json(parser)


def run(context: Context, options: Namespace) -> int:
    if options.install and options.uninstall:
        raise Invalid("--install and --uninstall are opposites", hint="give one of them")
    file = context.layout.config / "ssh_config"
    if options.uninstall:
        user_file = plan_user_file(context.environment)
        changed = remove_block(user_file, plan_include(file))
        changed = _remove(file) or changed
        _report(context, options, file, user_file, changed=changed, done="removed from", already="not in")
        return 0
    with context.open() as daemon:
        defaults: SshDefaults = daemon.get("/v1/ssh")
    config = render_wildcard(defaults, environment=context.environment)
    if not options.install:
        context.write(render_json({"config": config}) if options.json else config)
        return 0
    user_file = plan_user_file(context.environment)
    block = plan_include(file)
    changed = _write(file, config.encode())
    changed = put_block(user_file, block) or changed
    _report(context, options, file, user_file, changed=changed, done="`ssh NAME.vm` works:", already="already in")
    home = pwd.getpwuid(os.getuid()).pw_dir
    if user_file.parent.parent != Path(home):
        context.tell(f"ssh itself looks in {printable(home, limit=200)}, which HOME does not say: use `ssh -F` for it")
    return 0


def _report(
    context: Context, options: Namespace, file: Path, user_file: Path, *, changed: bool, done: str, already: str
) -> None:
    if options.json:
        context.write(render_json({"included": str(file), "user_file": str(user_file), "changed": changed}))
    else:
        context.write(f"{done if changed else already} {printable(str(user_file), limit=200)}\n")


def _write(file: Path, content: bytes) -> bool:
    if file.is_file() and file.read_bytes() == content:
        return False
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_durably(file, content)
    return True


def _remove(file: Path) -> bool:
    try:
        file.unlink()
    except FileNotFoundError:
        return False
    return True
