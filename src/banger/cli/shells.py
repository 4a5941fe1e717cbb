"""Where shells look for completions, and installing ours there."""

from __future__ import annotations

import shlex
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from banger.cli import exits
from banger.cli.arguments import Parser, add_json
from banger.cli.dotfiles import Block, find_directory, find_home, put_block, remove_block
from banger.cli.render import render_json
from banger.core.errors import Failed, Invalid
from banger.core.files import write_durably
from banger.core.untrusted import printable

if TYPE_CHECKING:
    from banger.cli.context import Context

SHELLS: Final = ("bash", "zsh", "fish")
_READABLE: Final = 0o644
_BASH_COMPLETION: Final = (
    "/usr/share/bash-completion/bash_completion",
    "/usr/local/share/bash-completion/bash_completion",
    "/etc/bash_completion",
)


class Place(NamedTuple):
    """Where the script of a shell goes, and what has to stand in a file of the user's for it to be found."""

    script: Path
    rc: Path | None = None
    block: Block | None = None


def declare_shell(parser: Parser) -> None:
    """The arguments of installing and removing."""
    parser.add_argument("--shell", metavar="SHELL", choices=SHELLS, help="bash, zsh or fish (default: yours)")
    add_json(parser)


def choose_shell(asked: str | None, environment: Mapping[str, str]) -> str:
    """The shell that is asked for, else the user's. Raises `Invalid` for one that banger knows nothing of."""
    shell = asked or environment.get("SHELL", "").rpartition("/")[2]
    if shell not in SHELLS:
        summary = f"there is no completion for {ascii(shell)}" if shell else "SHELL does not say which shell is yours"
        raise Invalid(summary, hint="say which with --shell: " + ", ".join(SHELLS))
    return shell


def plan_place(shell: str, environment: Mapping[str, str]) -> Place:
    """Where things go: directories of the user's that each shell searches, which zsh alone has to be told."""
    data = find_directory(environment, "XDG_DATA_HOME", ".local/share")
    if shell == "bash":  # bash-completion: README, "installation"
        own = environment.get("BASH_COMPLETION_USER_DIR", "")
        root = Path(own) if own.startswith("/") else data / "bash-completion"
        return Place(root / "completions" / "banger")
    if shell == "fish":  # fish(1), "Where to put completions"
        return Place(find_directory(environment, "XDG_CONFIG_HOME", ".config") / "fish" / "completions" / "banger.fish")
    script = data / "zsh" / "site-functions" / "_banger"
    dotted = environment.get("ZDOTDIR", "")
    rc = (Path(dotted) if dotted.startswith("/") else find_home(environment)) / ".zshrc"
    quoted = shlex.quote(str(script))
    return Place(script, rc, Block("completion", (f"[[ -r {quoted} ]] && source {quoted}",), first=False))


def read_script(shell: str) -> str:
    """The script that makes a shell complete banger's words."""
    return (Path(__file__).parent / "completions" / f"banger.{shell}").read_text()


def print_script(context: Context, options: Namespace, shell: str) -> int:
    """What `banger completion SHELL` does."""
    script = read_script(shell)
    context.write(render_json({"shell": shell, "script": script}) if options.json else script)
    return exits.DONE


def install(shell: str, place: Place) -> bool:
    """Put the script there; whether that changed anything. Raises `Failed`, or as `put_block`."""
    content = read_script(shell).encode()
    changed = False
    try:
        if not place.script.is_file() or place.script.read_bytes() != content:
            place.script.parent.mkdir(parents=True, exist_ok=True)
            write_durably(place.script, content, mode=_READABLE)
            changed = True
    except OSError as error:
        raise _failed(place, error) from error
    if place.rc is not None and place.block is not None:
        changed = put_block(place.rc, place.block) or changed
    return changed


def uninstall(place: Place) -> bool:
    """Remove it; whether it was there. Raises as `install`."""
    changed = False
    if place.rc is not None and place.block is not None:
        changed = remove_block(place.rc, place.block)
    try:
        place.script.unlink()
    except FileNotFoundError:
        return changed
    except OSError as error:
        raise _failed(place, error) from error
    return True


def bash_completion_is_there() -> bool:
    """Whether the package is installed that makes bash look into its directory of the user's."""
    return any(Path(file).exists() for file in _BASH_COMPLETION)


def _failed(place: Place, error: OSError) -> Failed:
    return Failed(
        f"{printable(str(place.script), limit=200)}: {error.strerror}",
        hint="`banger completion` says how to load it yourself",
    )
