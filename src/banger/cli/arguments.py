"""Parsing the arguments of one command: argparse with our errors, our help, and commands after `--`."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

from banger.core.errors import Invalid

if TYPE_CHECKING:
    from banger.cli.context import Context

_NO_VALUE = ": expected one argument"
_WORD_LIMIT = 100
HELP_WORDS = frozenset(("-h", "--help"))


class CommandModule(Protocol):
    """What each file in `banger.cli.commands` has."""

    USAGE: str
    DESCRIPTION: str
    EXAMPLES: tuple[tuple[str, str], ...]

    def declare(self, parser: Parser) -> None:
        """Add the command's arguments."""

    def run(self, context: Context, options: argparse.Namespace) -> int:
        """Do it; the exit status."""


def _unused_formatter(prog: str) -> argparse.HelpFormatter:
    """Our help has its own look. The width is given because looking it up imports `shutil` and four archive formats."""
    return argparse.HelpFormatter(prog, width=100)


class Parser(argparse.ArgumentParser):
    """An argument parser that raises `Invalid` instead of exiting, and prints nothing itself."""

    def __init__(self, words: Sequence[str]) -> None:
        self.listed: list[argparse.Action] = []
        self._words = " ".join(words)
        self._takes_command = False
        self._any_bytes: set[str] = set()
        self._completes: dict[str, str] = {}
        self._command_after: int | None = None
        self._explain: Callable[[Mapping[str, str]], Mapping[str, str]] | None = None
        super().__init__(
            prog=f"banger {self._words}",
            add_help=False,
            allow_abbrev=False,
            formatter_class=_unused_formatter,
        )

    def add_argument(self, *names: str, completes: str = "", **settings: Any) -> argparse.Action:  # noqa: ANN401 - argparse's own
        """As argparse's. `completes` is the kind of names that shells complete it with (`banger.cli.completing`)."""
        action = super().add_argument(*names, **settings)
        self.listed.append(action)
        if completes:
            self._completes[action.dest] = completes
        return action

    def completes(self, action: argparse.Action) -> str:
        """What was said about completing an argument, or nothing."""
        return self._completes.get(action.dest, "")

    def explain(self, describe: Callable[[Mapping[str, str]], Mapping[str, str]]) -> None:
        """Let `{words}` in the options' help texts stand for what `describe` says of an environment."""
        self._explain = describe

    def described(self, environment: Mapping[str, str]) -> Mapping[str, str]:
        """What `{words}` in the options' help texts stand for; nothing when they are meant as they are."""
        return {} if self._explain is None else self._explain(environment)

    def take_command(self, *, after: int | None = None) -> None:
        """A command for the guest may follow `--`, or, with `after`, begin as the positional after so many others."""
        self._takes_command = True
        self._command_after = after

    def take_any_bytes(self, name: str) -> None:
        """An option whose values are for the guest, which takes bytes that are no UTF-8."""
        self._any_bytes.add(name)

    def own_words(self, words: Sequence[str]) -> tuple[list[str], list[str] | None]:
        """Split into our own words and the guest's command (None when there is none)."""
        if not self._takes_command:
            return list(words), None
        valued = {name for action in self.listed if action.nargs != 0 for name in action.option_strings}
        positionals = 0
        index = 0
        while index < len(words):
            word = words[index]
            if word == "--":
                return list(words[:index]), list(words[index + 1 :])
            if word.startswith("-") and word != "-":
                index += 1 if word in valued else 0
            elif positionals == self._command_after:
                return list(words[:index]), list(words[index:])
            else:
                positionals += 1
            index += 1
        return list(words), None

    def parse(self, words: Sequence[str]) -> argparse.Namespace:
        """Parse; `command` of the result is the guest's command. Raises `Invalid`."""
        own, command = self.own_words(words)
        if command == []:
            raise Invalid("there is no command after `--`", hint=self._help_hint())
        if unknown := self._find_unknown(own):
            self._refuse(unknown)
        options, rest = self.parse_known_args(own)
        if rest:
            self._refuse(rest[0])
        for name, value in vars(options).items():
            if name not in self._any_bytes:
                _check_text(value)
        if self._takes_command:
            options.command = command
        return options

    def error(self, message: str) -> NoReturn:
        """Called by argparse for what it cannot parse."""
        required = message.removeprefix("the following arguments are required: ")
        text = _missing(required) if required != message else message.removeprefix("argument ")
        if text.endswith(_NO_VALUE):
            option = text.removesuffix(_NO_VALUE)
            raise Invalid(
                f"{self._words}: {option} needs a value",
                hint=f"one that begins with a hyphen is written {option.rpartition('/')[2]}=VALUE",
            )
        raise Invalid(f"{self._words}: {text}", hint=self._help_hint())

    def _find_unknown(self, own: Sequence[str]) -> str | None:
        """The first word that looks like an option and is none: told before what else is wrong, which it may cause."""
        takes_value = {name: action.nargs != 0 for action in self.listed for name in action.option_strings}
        value_follows = False
        for word in own:
            name = word.partition("=")[0]
            if word == "--":
                return None
            if value_follows or not word.startswith("-") or word == "-":
                value_follows = False
            elif name in takes_value:
                value_follows = takes_value[name] and name == word
            elif word.startswith("--") or word[:2] not in takes_value:
                return word
        return None

    def _refuse(self, word: str) -> NoReturn:
        if not word.startswith("-"):
            hint = "a command for the guest goes after `--`" if self._takes_command else self._help_hint()
            raise Invalid(f"{self._words}: {shorten(word)} is one word too many", hint=hint)
        from difflib import get_close_matches

        from banger.cli.habits import option_hint

        name = word.partition("=")[0]
        hint = option_hint(self._words, name) or ""
        if not hint:
            known = [option for action in self.listed for option in action.option_strings]
            near = get_close_matches(name, known, n=1, cutoff=0.75)
            hint = f"did you mean `{near[0]}`?" if near else self._help_hint()
        raise Invalid(f"{self._words}: there is no option {shorten(name)}", hint=hint)

    def _help_hint(self) -> str:
        return f"`banger {self._words} --help` shows what it takes"


def shorten(word: str) -> str:
    """A word of the user's for an error: in ASCII, and no longer than a line."""
    return ascii(word if len(word) <= _WORD_LIMIT else word[:_WORD_LIMIT] + "...")


def _missing(required: str) -> str:
    """What argparse says is required, as a sentence: `VM, JOB...` are missing."""
    *others, last = (name.removesuffix("...") for name in required.split(", "))
    return f"{', '.join(others)} and {last} are missing" if others else f"{last} is missing"


def _check_text(value: object) -> None:
    for word in value if isinstance(value, list) else [value]:
        if isinstance(word, str):
            try:
                word.encode()
            except UnicodeEncodeError as error:
                raise Invalid(f"{ascii(word)} is not valid UTF-8", hint="give it another name") from error


def add_json(parser: Parser) -> None:
    """`--json`, the same for every command that has it."""
    parser.add_argument("--json", action="store_true", help="print one JSON document instead")


def add_vm(parser: Parser) -> None:
    """The VM that a command is about."""
    parser.add_argument("vm", metavar="VM", type=vm_ref, help="name, id or the beginning of an id")


def add_vms(parser: Parser, *, none_is_all: bool = False) -> None:
    """The VMs that a command is about."""
    nargs = "*" if none_is_all else "+"
    parser.add_argument("vm", metavar="VM...", nargs=nargs, type=vm_ref, help="names, ids or the beginnings of ids")


def vm_ref(text: str) -> str:
    """A name or the beginning of an id; raises `Invalid` for what can be neither."""
    possible = text and len(text) <= 64 and all(c.isascii() and (c.isalnum() or c == "-") for c in text)
    if not possible or text.startswith("-"):
        raise Invalid(f"{shorten(text)} is neither a VM's name nor its id", hint="`banger vm list` shows both")
    return text
