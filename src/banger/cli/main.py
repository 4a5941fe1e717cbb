"""From words to a command, and from what goes wrong to one sentence and an exit status."""

from __future__ import annotations

import gc
import io
import os
import sys

from banger.cli.table import Command, find_command, find_group

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from banger.cli.arguments import CommandModule


def main(
    words: Sequence[str],
    *,
    environment: Mapping[str, str] | None = None,
    daemon_argv: Sequence[str] | None = None,
) -> int:
    """Run one command and return its exit status. `daemon_argv` is what starts a daemon, ours by default."""
    _open_standard_streams()
    try:
        try:
            status = _dispatch(list(words), os.environ if environment is None else environment, daemon_argv)
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        # Whoever reads our output has left. What Python still holds must not be tried again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 141
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - the fence: nobody sees a traceback
        from banger.cli.failures import report

        return report(error, words, os.environ if environment is None else environment)
    return status


def load(command: Command) -> CommandModule:
    """Import the module of a command."""
    from importlib import import_module

    module: CommandModule = import_module(f"banger.cli.commands.{command.module}")
    return module


def _dispatch(words: list[str], environment: Mapping[str, str], daemon_argv: Sequence[str] | None) -> int:
    words = _move_help(words)
    if words[:1] == ["help"]:
        if "--tree" in words:
            return _show_tree(tuple(word for word in words[1:] if word != "--tree"))
        words = [*words[1:], "--help"]
    if not words or words[0] in ("-h", "--help"):
        from banger.cli.help import root_page

        sys.stdout.write(root_page())
        return 0
    if words[0] in ("-V", "--version"):
        from banger import __version__

        sys.stdout.write(f"banger {__version__}\n")
        return 0
    for count in range(min(3, len(words)), 0, -1):
        command = find_command(tuple(words[:count]))
        if command is not None:
            return _run(command, words[count:], environment, daemon_argv)
    return _show_group(words)


def _move_help(words: list[str]) -> list[str]:
    """`banger vm help run` is `banger help vm run`; `help` after a command is a word of its own."""
    for count in range(1, min(3, len(words))):
        if words[count] == "help" and find_group(tuple(words[:count])) is not None:
            return ["help", *words[:count], *words[count + 1 :]]
    return words


def _show_tree(words: tuple[str, ...]) -> int:
    if words and find_group(words) is None and find_command(words) is None:
        from banger.cli.failures import unknown_command

        raise unknown_command(words)
    from banger.cli.help import tree_page

    sys.stdout.write(tree_page(words))
    return 0


def _show_group(words: list[str]) -> int:
    for count in range(min(2, len(words)), 0, -1):
        group = find_group(tuple(words[:count]))
        if group is not None and words[count:] in ([], ["-h"], ["--help"]):
            from banger.cli.help import group_page

            sys.stdout.write(group_page(group))
            return 0
    from banger.cli.failures import unknown_command

    raise unknown_command(words)


def _run(command: Command, words: list[str], environment: Mapping[str, str], daemon_argv: Sequence[str] | None) -> int:
    from banger.cli.arguments import HELP_WORDS, Parser

    module = load(command)
    parser = Parser(command.words)
    module.declare(parser)
    own, _ = parser.own_words(words)
    if not HELP_WORDS.isdisjoint(own):
        from banger.cli.help import command_page

        sys.stdout.write(command_page(command, module, parser, environment))
        return 0
    options = parser.parse(words)
    from banger.cli.context import Context

    gc.enable()
    return module.run(Context(environment=environment, daemon_argv=daemon_argv), options)


def _open_standard_streams() -> None:
    """Make sure that 0, 1 and 2 are open: else the next socket would get such a number, and our output."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115, PTH123 - for the rest of the process
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115, PTH123 - as above
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
