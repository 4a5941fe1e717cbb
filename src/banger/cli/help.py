"""Help pages: of the whole program, of a group, of a command. Plain text, 100 columns at most, the same everywhere."""

from __future__ import annotations

from banger.cli.table import COMMANDS, GROUPS, TOP, Command, Group, commands_below

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Final

    from banger.cli.arguments import CommandModule, Parser

_EXAMPLE_WIDTH: Final = 56
_OPTION_WIDTH: Final = 24

ROOT_PAGE: Final = (
    ("In a git repository:", ""),
    ("banger vm run", "a shell in a machine with this repository in it"),
    ("banger vm run . -- make test", "one command: its output, its exit status"),
    ("banger vm run --rm . -- make test", "the same, and nothing is left"),
    ("With a machine that stays:", ""),
    ("banger vm run -d --name box .", "ready in the background"),
    ("banger vm exec box -- git status", "run more in it"),
    ("banger vm workspace apply box", "bring the edits back, reviewed"),
    ("banger vm delete box", "remove it"),
)

STATUSES: Final = """\
Exit status:
  0 done   1 failed   2 wrong usage, refused before anything was done   3 not found   4 name taken
  5 wrong state   6 denied   7 not possible here   8 something needed is not there   9 timed out
  70 a defect of banger   130 interrupted
  `vm run` and `vm create` say 2 to all that is refused before there is a VM, also a name that is taken.
  `vm run -- CMD` and `vm exec` end with the status of the command, 128 + N when signal N ended it,
  127 when the guest has no such program, 126 when it cannot be run, 124 when its --timeout was over."""


def root_page() -> str:
    """What `banger --help` prints."""
    entries = [(word, _summary_of(word)) for word in TOP]
    entries.insert(1, ("ps", "short for `vm list`"))
    entries.append(("help", "`banger help vm run` is `banger vm run --help`; `banger help --tree` lists all"))
    return "\n".join(
        (
            "banger: disposable Linux machines for developers and their coding agents",
            "",
            *_examples(ROOT_PAGE),
            "",
            "Commands:",
            *_entries(entries, 12),
            "",
            STATUSES,
            "",
        )
    )


def tree_page(below: tuple[str, ...] = ()) -> str:
    """What `banger help --tree` prints: every command below some words, with what it does in one line."""
    lines: list[tuple[str, str]] = []
    _grow(lines, below, depth=0)
    width = max(len(name) for name, _ in lines) + 2
    return "".join(f"{name:<{width}}{summary}".rstrip() + "\n" for name, summary in lines)


def _grow(lines: list[tuple[str, str]], words: tuple[str, ...], *, depth: int) -> None:
    """The group or command that `words` name, and what is below it in the order of the table."""
    summaries = {entry.words: entry.summary for entry in GROUPS}
    summaries |= {command.words: command.summary for command in COMMANDS if not command.hidden}
    lines.append(("  " * depth + (words[-1] if words else "banger"), summaries.get(words, "")))
    below = [entry.words for entry in (*COMMANDS, *GROUPS) if entry.words[:-1] == words and entry.words in summaries]
    if not words:
        below.sort(key=lambda entry: TOP.index(entry[0]))
    for entry in below:
        _grow(lines, entry, depth=depth + 1)


def group_page(group: Group) -> str:
    """What a group without a command prints."""
    words = " ".join(group.words)
    below = commands_below(group.words)
    entries = [(" ".join(command.words[len(group.words) :]), command.summary) for command in below]
    return "\n".join(
        (
            f"banger {words}: {group.summary}",
            "",
            group.purpose,
            "",
            *_examples(group.page),
            "",
            "Commands:",
            *_entries(entries, max(len(entry[0]) for entry in entries) + 2),
            "",
            f"`banger {words} {entries[0][0]} --help` tells more about one of them.",
            "",
        )
    )


def command_page(command: Command, module: CommandModule, parser: Parser, environment: Mapping[str, str]) -> str:
    """What `--help` prints after a command."""
    options: list[tuple[str, str]] = []
    positionals: list[tuple[str, str]] = []
    for action in parser.listed:
        metavar = action.metavar if isinstance(action.metavar, str) else str(action.dest).upper()
        shown = ", ".join(action.option_strings) or metavar
        if action.option_strings and action.nargs != 0:
            shown += f" {metavar}"
        (options if action.option_strings else positionals).append((shown, str(action.help)))
    if described := parser.described(environment):
        options = [(shown, text.format_map(described)) for shown, text in options]
    lines = [f"usage: banger {' '.join(command.words)} {module.USAGE}".rstrip(), "", *module.DESCRIPTION.splitlines()]
    if positionals:
        lines += ["", *_entries(positionals, _OPTION_WIDTH)]
    lines += ["", "Options:", *_entries([*options, ("-h, --help", "print this")], _OPTION_WIDTH)]
    lines += ["", "Examples:", *_examples(module.EXAMPLES)]
    return "\n".join((*lines, ""))


def _summary_of(word: str) -> str:
    return next(entry.summary for entry in (*GROUPS, *COMMANDS) if entry.words == (word,))


def _examples(page: Sequence[tuple[str, str]]) -> list[str]:
    lines: list[str] = []
    width = min(_EXAMPLE_WIDTH, max(len(text) for text, meaning in page if meaning or not text.endswith(":")))
    for text, meaning in page:
        if text.endswith(":"):
            lines.append(text)
        else:
            lines.append(f"  {text:<{width}}  {meaning}".rstrip())
    return lines


def _entries(entries: Sequence[tuple[str, str]], width: int) -> list[str]:
    lines: list[str] = []
    for name, text in entries:
        first, *more = text.split("\n")
        if len(name) > width - 2:
            lines.append(f"  {name}")
            name = ""  # noqa: PLW2901 - its text begins on a line of its own
        lines.append(f"  {name:<{width}}{first}".rstrip())
        lines += [f"  {'':<{width}}{line}" for line in more]
    return lines
