"""A Sphinx extension that writes a reference page for each command and group, out of what `--help` is made of.

The pages are MyST Markdown in `docs/reference`, which git ignores; the manual pages are made of the same files.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from banger.cli.arguments import Parser
from banger.cli.help import ROOT_PAGE, STATUSES
from banger.cli.main import load
from banger.cli.table import COMMANDS, GROUPS, TOP, Command, Group, commands_below, find_command, find_group

if TYPE_CHECKING:
    from sphinx.application import Sphinx

DIRECTORY = "reference"
_MARKUP = re.compile(r"([\\`*_{}\[\]<>#|~$^:])")
_CODE = re.compile(r"(`[^`\n]+`)")
_LOOKED_UP = "as configured"


@dataclass(frozen=True)
class Page:
    """One page: its name without a suffix, its line in the index of manual pages, and its text."""

    name: str
    summary: str
    text: str


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("builder-inited", _write_pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _write_pages(app: Sphinx) -> None:
    directory = Path(app.srcdir) / DIRECTORY
    directory.mkdir(exist_ok=True)
    pages = {f"{page.name}.md": page.text for page in plan_pages()}
    for path in directory.glob("*.md"):
        if path.name not in pages:
            path.unlink()
    for name, text in pages.items():
        path = directory / name
        if not path.exists() or path.read_text() != text:  # Sphinx reads again what is newer
            path.write_text(text)


def plan_pages() -> list[Page]:
    """All pages: of the program, of its groups, of its commands."""
    return [
        Page("banger", "disposable Linux machines for developers and their coding agents", _root_text()),
        *(Page(_name_of(group.words), group.summary, _group_text(group)) for group in GROUPS),
        *(
            Page(_name_of(command.words), command.summary, _command_text(command))
            for command in COMMANDS
            if not command.hidden
        ),
    ]


def _name_of(words: Sequence[str]) -> str:
    return "-".join(("banger", *words))


def _root_text() -> str:
    entries = [found for word in TOP if (found := find_group((word,)) or find_command((word,))) is not None]
    statuses = STATUSES.partition("\n")[2]
    return _join(
        "# banger",
        "Disposable Linux machines for developers and their coding agents.",
        "## Synopsis",
        _block(["banger COMMAND [ARGUMENTS]", "banger help COMMAND"]),
        "## Examples",
        *_examples(ROOT_PAGE),
        "## Commands",
        *(_entry_link(entry) for entry in entries),
        "## Exit status",
        _block([line.removeprefix("  ") for line in statuses.splitlines()]),
        _contents([_name_of(entry.words) for entry in entries]),
    )


def _group_text(group: Group) -> str:
    below = [group_below for group_below in GROUPS if group_below.words[:-1] == group.words]
    commands = [command for command in commands_below(group.words) if len(command.words) == len(group.words) + 1]
    entries: list[Command | Group] = [*commands, *below]
    return _join(
        f"# {_title(group.words)}",
        _prose(group.purpose),
        "## Examples",
        *_examples(group.page),
        "## Commands",
        *(_entry_link(entry) for entry in entries),
        _contents([_name_of(entry.words) for entry in entries]),
    )


def _command_text(command: Command) -> str:
    module = load(command)
    parser = Parser(command.words)
    module.declare(parser)
    # Defaults that are looked up are those of whoever reads the page, not of whoever builds it.
    described = dict.fromkeys(parser.described({}), _LOOKED_UP)
    sections: dict[str, list[str]] = {"Arguments": [], "Options": []}
    for action in parser.listed:
        metavar = action.metavar if isinstance(action.metavar, str) else str(action.dest).upper()
        shown = ", ".join(action.option_strings) or metavar
        if action.option_strings and action.nargs != 0:
            shown += f" {metavar}"
        text = str(action.help)
        if action.option_strings and described:
            text = text.format_map(described)
        sections["Options" if action.option_strings else "Arguments"].append(
            f"`{shown}`\n: {_prose(' '.join(text.split()))}"
        )
    sections["Options"].append("`-h, --help`\n: print this")
    return _join(
        f"# {_title(command.words)}",
        "## Synopsis",
        _block([f"{_title(command.words)} {module.USAGE}".rstrip()]),
        "## Description",
        *(_prose(paragraph) for paragraph in module.DESCRIPTION.split("\n\n")),
        *(part for title, items in sections.items() if items for part in (f"## {title}", *items)),
        "## Examples",
        *_examples(module.EXAMPLES),
    )


def _title(words: Sequence[str]) -> str:
    return " ".join(("banger", *words))


def _entry_link(entry: Command | Group) -> str:
    return f"[`{_title(entry.words)}`]({_name_of(entry.words)}.md)\n: {_prose(entry.summary)}"


def _contents(names: Sequence[str]) -> str:
    return "\n".join(("```{toctree}", ":hidden:", "", *names, "```"))


def _examples(page: Sequence[tuple[str, str]]) -> Iterator[str]:
    """Text between the examples stays text; each run of examples is one block, with what they mean behind `#`."""
    lines: list[tuple[str, str]] = []
    for text, meaning in page:
        if not meaning and text.endswith(":") and not text.startswith(("scp", "rsync")):
            if lines:
                yield _block(_aligned(lines))
            lines = []
            yield _prose(text)
        else:
            lines.append((text, meaning))
    if lines:
        yield _block(_aligned(lines))


def _aligned(lines: Sequence[tuple[str, str]]) -> list[str]:
    width = max(len(text) for text, _ in lines)
    return [f"{text:<{width}}  # {meaning}" if meaning else text for text, meaning in lines]


def _block(lines: Sequence[str]) -> str:
    return "\n".join(("```text", *lines, "```"))


def _prose(text: str) -> str:
    """Text in which only backticks mean something, as MyST."""
    parts = _CODE.split(text)
    return "".join(part if index % 2 else _MARKUP.sub(r"\\\1", part) for index, part in enumerate(parts))


def _join(*parts: str) -> str:
    return "\n\n".join(parts) + "\n"
