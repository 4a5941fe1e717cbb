"""What can follow the words typed so far, decided from the table of commands and their parsers alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from banger.cli.table import ALIASES, COMMANDS, GROUPS, TOP, Command, find_command

if TYPE_CHECKING:
    from argparse import Action
    from collections.abc import Callable, Iterable, Sequence

    from banger.cli.arguments import Parser

# What completes a value, by its metavar, unless the argument says otherwise.
OF_METAVAR: Final = {
    "VM": "vm",
    "VM...": "vm",
    "IMAGE": "image",
    "KERNEL": "kernel",
    "FILE": "file",
    "RECIPE": "file",
    "PATH": "file",
    "SRC": "vm-path",
    "DEST": "vm-path",
    "PLATFORM": "platform",
    "JOB": "job",
    "JOB...": "job",
}
_FIXED: Final = {"platform": ("linux/amd64", "linux/arm64"), "signal": ("HUP", "INT", "KILL", "QUIT", "TERM")}
FILES: Final = "files"
DIRECTORIES: Final = "directories"


class Candidate(NamedTuple):
    """A possible word, and what it means."""

    word: str
    meaning: str = ""


class Answer(NamedTuple):
    """Candidates for the last word, and which files of this computer may stand there too: none, all, directories."""

    candidates: tuple[Candidate, ...] = ()
    files: str = ""


if TYPE_CHECKING:
    # Names of a kind that exist, with what they are; nothing for a kind that is unknown, or without a daemon.
    Names = Callable[[str], Iterable[Candidate]]


def complete(words: Sequence[str], *, names: Names, load: Callable[[Command], Parser]) -> Answer:
    """Complete the last of `words`, which follow `banger` and may be empty. Commands for guests are not completed."""
    before, current = list(words[:-1]), words[-1] if words else ""
    if before[:1] == ["help"]:
        if current.startswith("-"):
            return Answer(_matching([Candidate("--tree", "list every command")], current))
        return Answer(_matching(_below(before[1:]), current))
    for count in range(len(before), 0, -1):
        command = find_command(tuple(before[:count]))
        if command is not None:
            own = _complete_arguments(load(command), before[count:], current, names)
            return Answer((*own.candidates, *_matching(_below(before), current)), own.files)
    found = _below(before)
    if current.startswith("-"):
        found = [Candidate("--help", "print help")]
        found += [Candidate("--version", "print the version")] * (not before)
    return Answer(_matching(found, current))


def _below(before: Sequence[str]) -> list[Candidate]:
    """The words that may come next in the table of commands."""
    depth = len(before)
    if depth == 0:
        summaries = {entry.words[0]: entry.summary for entry in (*COMMANDS, *GROUPS) if len(entry.words) == 1}
        return [
            *(Candidate(word, summaries[word]) for word in TOP),
            *(Candidate(alias[0], "short for " + " ".join(meant)) for alias, meant in ALIASES.items() if not alias[1:]),
            Candidate("help", "print a help page"),
        ]
    found: dict[str, str] = {}
    entries = [(group.words, group.summary) for group in GROUPS]
    entries += [(command.words, command.summary) for command in COMMANDS if not command.hidden]
    for words, summary in entries:
        below = len(words) > depth and words[:depth] == tuple(before)
        if below and (len(words) == depth + 1 or words[depth] not in found):
            found[words[depth]] = summary
    return [Candidate(word, meaning) for word, meaning in found.items()]


def _complete_arguments(parser: Parser, typed: Sequence[str], current: str, names: Names) -> Answer:
    _, guest = parser.own_words([*typed, *([] if current.startswith("-") else ["word"])])
    if guest is not None:
        return Answer()
    options = {name: action for action in parser.listed for name in action.option_strings}
    if typed and (action := options.get(typed[-1])) is not None and action.nargs != 0:
        return _complete_value(parser, action, current, names)
    name, equals, value = current.partition("=")
    if equals and (action := options.get(name)) is not None and action.nargs != 0:
        inner = _complete_value(parser, action, value, names)
        return Answer(tuple(Candidate(f"{name}={word}", meaning) for word, meaning in inner.candidates), inner.files)
    if current.startswith("-"):
        return Answer(_matching(_free_options(parser, typed), current))
    return _complete_positional(parser, _positionals(options, typed), current, names)


def _complete_positional(parser: Parser, given: Sequence[str], current: str, names: Names) -> Answer:
    """What may come after the positionals that are `given`; nothing twice."""
    action = _positional_at(parser, len(given))
    if action is None:
        return Answer()
    if OF_METAVAR.get(str(action.metavar)) == "job":  # of the VM that was named before it
        return Answer(_matching(names(f"job:{given[0]}"), current))
    answer = _complete_value(parser, action, current, names)
    return Answer(tuple(candidate for candidate in answer.candidates if candidate.word not in given), answer.files)


def _complete_value(parser: Parser, action: Action, current: str, names: Names) -> Answer:
    if action.choices is not None:
        return Answer(_matching((Candidate(str(choice)) for choice in action.choices), current))
    kind = parser.completes(action) or OF_METAVAR.get(str(action.metavar), "")
    if kind == "vm-path":
        if ":" in current:
            return Answer()  # a path in a guest, which is not asked for each key that is pressed
        vms = (Candidate(f"{word}:", meaning) for word, meaning in names("vm"))
        return Answer(_matching(vms, current), FILES)
    if kind in _FIXED:
        return Answer(_matching(map(Candidate, _FIXED[kind]), current))
    if kind in ("file", "directory"):
        return Answer((), FILES if kind == "file" else DIRECTORIES)
    return Answer(_matching(names(kind), current)) if kind else Answer()


def _free_options(parser: Parser, typed: Sequence[str]) -> list[Candidate]:
    """Options that are not there yet, by their long names; `--env` and the like may come again."""
    used = {word.partition("=")[0] for word in typed if word.startswith("-")}
    found = [Candidate("--help", "print help")]
    for action in parser.listed:
        again = type(action).__name__ in ("_AppendAction", "_CountAction")
        if action.option_strings and (again or used.isdisjoint(action.option_strings)):
            found.append(Candidate(action.option_strings[-1], _meaning(action)))
    return found


def _meaning(action: Action) -> str:
    """An option's help without its default, which is of no use to who is about to type another value."""
    return str(action.help).partition("\n")[0].partition(" (")[0]


def _positionals(options: dict[str, Action], typed: Sequence[str]) -> list[str]:
    """Those of the words that are neither options nor their values."""
    given: list[str] = []
    skip = False
    for word in typed:
        if skip:
            skip = False
        elif word.startswith("-") and word != "-":
            action = options.get(word)
            skip = action is not None and action.nargs != 0
        else:
            given.append(word)
    return given


def _positional_at(parser: Parser, index: int) -> Action | None:
    for position, action in enumerate(action for action in parser.listed if not action.option_strings):
        if position == index or (position < index and action.nargs in ("*", "+")):
            return action
    return None


def _matching(candidates: Iterable[Candidate], current: str) -> tuple[Candidate, ...]:
    return tuple(candidate for candidate in candidates if candidate.word.startswith(current))
