"""What people who come from other programs type, and what it is called here. Read only when nobody understood it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

# Words that call no command, and the command that does what they say.
COMMANDS: Final = {
    "attach": "vm exec",
    "commit": "image save",
    "config edit": "config path",
    "config get": "config show",
    "config list": "config show",
    "config set": "config path",
    "console": "vm logs",
    "daemon log": "daemon status",
    "daemon logs": "daemon status",
    "daemon start": "daemon restart",
    "export": "vm workspace export",
    "history": "vm jobs list",
    "image inspect": "image show",
    "image load": "image import",
    "image prune": "image cache prune",
    "image remove": "image delete",
    "images": "image list",
    "inspect": "vm show",
    "job": "vm jobs list",
    "jobs": "vm jobs list",
    "kernel inspect": "kernel show",
    "kernel remove": "kernel rm",
    "kernels": "kernel list",
    "load": "image import",
    "ls": "vm list",
    "new": "vm create",
    "port": "vm ports",
    "remove": "vm delete",
    "rm": "vm delete",
    "rmi": "image delete",
    "shell": "vm exec",
    "status": "daemon status",
    "top": "vm stats",
    "vm attach": "vm exec",
    "vm clone": "image save",
    "vm commit": "image save",
    "vm connect": "vm exec",
    "vm console": "vm logs",
    "vm copy": "vm cp",
    "vm destroy": "vm delete",
    "vm down": "vm stop",
    "vm edit": "vm set",
    "vm enter": "vm exec",
    "vm freeze": "vm pause",
    "vm halt": "vm stop",
    "vm info": "vm show",
    "vm inspect": "vm show",
    "vm jobs show": "vm jobs list",
    "vm jobs stop": "vm jobs kill",
    "vm jobs tail": "vm jobs logs",
    "vm launch": "vm create",
    "vm mv": "vm rename",
    "vm new": "vm create",
    "vm poweroff": "vm stop",
    "vm pull": "vm cp",
    "vm push": "vm cp",
    "vm reboot": "vm restart",
    "vm remove": "vm delete",
    "vm resize": "vm set",
    "vm save": "image save",
    "vm scp": "vm cp",
    "vm shell": "vm exec",
    "vm shutdown": "vm stop",
    "vm snapshot": "image save",
    "vm status": "vm show",
    "vm suspend": "vm pause",
    "vm sync": "vm workspace prepare",
    "vm terminate": "vm delete",
    "vm top": "vm stats",
    "vm unpause": "vm resume",
    "vm up": "vm start",
    "vm update": "vm set",
    "vm workspace import": "vm workspace prepare",
    "vm workspace list": "vm list",
    "vm workspace pull": "vm workspace apply",
    "vm workspace push": "vm workspace prepare",
    "vm workspace sync": "vm workspace prepare",
    "vms": "vm list",
}

_INPUT: Final = "the command gets standard input as it is; -t gives it a terminal"
_ASKS_NOTHING: Final = "leave it out: this asks nothing"
_NETWORK: Final = "--nat gives it a way to the internet; without it there is no network"
_PORTS: Final = "`banger vm forward VM PORT` reaches a port of a running VM"
_FILES: Final = "`banger vm cp` copies files into a running VM, and `[[file_sync]]` of the configuration into each"
# Options that are none, by the command and for what people mean by them.
OPTIONS: Final = {
    "vm run": {
        **dict.fromkeys(("-i", "-it", "-ti", "--interactive"), _INPUT),
        **dict.fromkeys(("-p", "-P", "--publish", "--port"), _PORTS),
        **dict.fromkeys(("--volume", "--mount"), _FILES),
    },
    "vm exec": {
        **dict.fromkeys(("-i", "-it", "-ti", "--interactive"), _INPUT),
        **dict.fromkeys(("-w", "--workdir"), "did you mean `--cwd`?"),
        "-u": "did you mean `--user`?",
    },
    "vm create": dict.fromkeys(("-p", "-P", "--publish", "--port"), _PORTS),
    "vm list": dict.fromkeys(("-a", "--all"), "leave it out: all VMs are listed"),
    "vm kill": {"-s": "did you mean `--signal`?", "-9": "did you mean `--signal KILL`?"},
    "vm jobs kill": {"-s": "did you mean `--signal`?", "-9": "did you mean `--signal KILL`?"},
    "vm cp": dict.fromkeys(("-r", "-R", "-a", "--recursive"), "leave it out: directories are copied whole"),
    "vm ssh": dict.fromkeys(("-p", "-L", "-R", "-A", "-i", "-l"), "`banger vm ssh VM --print-config` is for `ssh -F`"),
    "vm stop": dict.fromkeys(("-f", "--force"), "`banger vm kill` asks no guest"),
    "vm delete": dict.fromkeys(("-f", "--force", "-y", "--yes"), f"{_ASKS_NOTHING}, and takes running VMs too"),
    "vm prune": dict.fromkeys(("-y", "--yes"), "did you mean `--force`?"),
    "image delete": dict.fromkeys(("-f", "--force", "-y", "--yes"), f"{_ASKS_NOTHING}, and spares what VMs use"),
    "kernel rm": dict.fromkeys(("-f", "--force", "-y", "--yes"), f"{_ASKS_NOTHING}, and spares what VMs use"),
}
_OF_A_MACHINE: Final = {
    **dict.fromkeys(("--net", "--network", "--internet"), _NETWORK),
    **dict.fromkeys(("--no-net", "--no-network"), "did you mean `--no-nat`?"),
    **dict.fromkeys(("--cpu", "--cpus"), "did you mean `--vcpu`?"),
    **dict.fromkeys(("-m", "--mem", "--ram"), "did you mean `--memory`?"),
}
_MACHINES: Final = ("vm run", "vm create", "vm set")


def command_for(words: Sequence[str]) -> str | None:
    """The command that these words, which call none, mean in other programs; None for what nobody says."""
    return COMMANDS.get(" ".join(words))


def option_hint(command: str, option: str) -> str | None:
    """What to do instead of giving `command` this option, which it has not; None for what nobody expects."""
    machine = _OF_A_MACHINE.get(option) if command in _MACHINES else None
    return OPTIONS.get(command, {}).get(option) or machine
