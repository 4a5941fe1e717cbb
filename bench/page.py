"""docs/performance.md: a section for each group of figures, each written by the run that measured it."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path

from tests.world import REPOSITORY

from bench.measure import Figure, row

PAGE = REPOSITORY / "docs" / "performance.md"
_HEAD = """# Performance

Written by `make bench`, and each section also by the command that it names. Each figure and the floor it is divided by
are measured in turns in the same run and compared by their medians. What matters is the ratio: the times are those of
one machine.
"""


@dataclass(frozen=True)
class Section:
    """One part of the page. `name` is what `--only` asks for; `notes` go below the table."""

    name: str
    title: str
    notes: str

    @property
    def heading(self) -> str:
        return f"## {self.title}\n\n"

    @property
    def command(self) -> str:
        return f"`make bench ARGS='--only {self.name}'`"

    def render(self, figures: list[Figure], where: str) -> str:
        """`where` says what computer it was, and what ran the guests."""
        turns = " and ".join(str(count) for count in sorted({len(figure.floors) for figure in figures}))
        table = [
            "| figure | banger | floor | what the floor is | ratio | reach | met |",
            "|---|---|---|---|---|---|---|",
            *(row(figure) for figure in figures),
        ]
        said = f"Written by {self.command}, of {turns} turn{'s' * (turns != '1')}, on\n{where}."
        return f"{self.heading}{said}\n\n" + "\n".join(table) + f"\n{self.notes.rstrip()}"


def describe_computer() -> str:
    """Processors, kernel, Python."""
    cpu = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        "unknown processor",
    )
    return f"{os.cpu_count()} processors ({cpu}), Linux {platform.release()}, Python {platform.python_version()}"


def render(before: str, sections: tuple[Section, ...], name: str, text: str) -> str:
    """The page `before` with `text` as its section `name`; the others as they were, in the order of `sections`."""
    kept = {}
    for part in before.split("\n## ")[1:]:
        kept["## " + part.partition("\n")[0] + "\n\n"] = f"## {part.strip()}"
    parts = [_HEAD.rstrip()]
    for section in sections:
        waiting = f"{section.heading}Not measured yet: {section.command}."
        parts.append(text if section.name == name else kept.get(section.heading, waiting))
    return "\n\n".join(parts) + "\n"


def keep(sections: tuple[Section, ...], section: Section, figures: list[Figure], where: str) -> None:
    """Write one section of the page, and show it and all values it was made from."""
    text = section.render(figures, where)
    PAGE.write_text(render(PAGE.read_text(), sections, section.name, text))
    print(text, flush=True)
    for figure in figures:
        print(figure.name, *(f"{value:.3f}" for value in figure.values), "/", *(f"{f:.3f}" for f in figure.floors))
