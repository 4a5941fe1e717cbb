from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from tests.cli.world import World

from banger.cli import exits
from banger.cli.arguments import Parser
from banger.cli.help import ROOT_PAGE, STATUSES
from banger.cli.main import load
from banger.cli.table import COMMANDS, GROUPS, find_command
from banger.core.errors import KINDS

GOLDEN = Path(__file__).parent / "golden"
PAGES = {
    "banger": ("--help",),
    "tree": ("help", "--tree"),
    **{"-".join(group.words): group.words for group in GROUPS},
    **{"-".join(command.words): (*command.words, "--help") for command in COMMANDS if not command.hidden},
}
EXAMPLES = [
    text
    for page in (
        ROOT_PAGE,
        *(group.page for group in GROUPS),
        *(load(command).EXAMPLES for command in COMMANDS),
    )
    for text, _ in page
    if not text.endswith(":") or text.startswith(("scp", "rsync"))
]


@pytest.mark.parametrize("name", sorted(PAGES))
def test_pages_read_as_agreed(world: World, name: str) -> None:
    """The expected texts are in tests/cli/golden; read the difference before you replace one."""
    done = world.run(*PAGES[name])
    assert (done.returncode, done.stderr) == (0, b"")
    assert same_everywhere(done.stdout.decode()) == (GOLDEN / f"{name}.txt").read_text()


def same_everywhere(page: str) -> str:
    """A page without what it says of the computer that the test runs on."""
    return re.sub(r"default: [^,()]+, host\)", "default: ..., host)", page)


def test_no_golden_page_is_left_over() -> None:
    assert {path.stem for path in GOLDEN.glob("*.txt")} == set(PAGES)


@pytest.mark.parametrize("name", sorted(PAGES))
def test_pages_fit_a_terminal_and_are_ascii(name: str) -> None:
    page = (GOLDEN / f"{name}.txt").read_text()
    assert page.isascii()
    assert max(map(len, page.splitlines())) <= 110


@pytest.mark.parametrize("example", sorted(set(EXAMPLES)))
def test_examples_parse(example: str) -> None:
    """Each `banger` in an example, also within a substitution and up to a pipe or a redirection."""
    for line in (re.sub(r"\$\(.*?\)", "box", example), *re.findall(r"\$\((.*?)\)", example)):
        lexer = shlex.shlex(line, posix=True, punctuation_chars="|<>;&")
        lexer.whitespace_split = True
        words: list[str] = []
        for word in lexer:
            if word[0] in "|<>;&":
                break
            words.append(word)
        if words[:1] != ["banger"]:
            continue
        words = words[1:]
        if words == ["--version"]:
            continue
        command = next(found for count in (3, 2, 1) if (found := find_command(tuple(words[:count]))) is not None)
        parser = Parser(command.words)
        load(command).declare(parser)
        parser.parse(words[len(command.words) :])


@pytest.mark.parametrize(
    "words", [(), ("--help",), ("-h",), ("help",), ("vm",), ("vm", "--help"), ("vm", "-h"), ("help", "vm")]
)
def test_help_can_be_asked_for_in_many_ways(world: World, words: tuple[str, ...]) -> None:
    done = world.run(*words)
    page = "vm" if "vm" in words else "banger"
    assert (done.returncode, done.stdout.decode()) == (0, (GOLDEN / f"{page}.txt").read_text())


@pytest.mark.parametrize(
    "words",
    [
        ("help", "vm", "run"),
        ("vm", "run", "-h"),
        ("vm", "run", "--bogus", "--help"),
        ("vm", "run", "--help", "--", "x"),
    ],
)
def test_help_of_a_command_in_many_ways(world: World, words: tuple[str, ...]) -> None:
    done = world.run(*words)
    assert (done.returncode, same_everywhere(done.stdout.decode())) == (0, (GOLDEN / "vm-run.txt").read_text())


def test_a_part_of_the_tree(world: World) -> None:
    lines = world.run("help", "daemon", "--tree").stdout.decode().splitlines()
    assert [line.split()[0] for line in lines] == ["daemon", "status", "stop", "restart"]
    done = world.run("help", "deamon", "--tree")
    assert (done.returncode, b"did you mean `banger daemon`" in done.stderr) == (2, True)


def test_the_tree_has_every_command_once() -> None:
    lines = (GOLDEN / "tree.txt").read_text().splitlines()
    shown = {entry.words for entry in (*COMMANDS, *GROUPS) if not getattr(entry, "hidden", False)}
    assert len(lines) == len(shown) + 1


def test_the_page_tells_the_exit_status_of_every_kind_of_error(world: World) -> None:
    """Numbers are promised: one that changes breaks programs."""
    assert exits.OF_KIND == {
        "failed": 1, "invalid": 2, "not_found": 3, "already_exists": 4, "wrong_state": 5, "denied": 6,
        "unsupported": 7, "unavailable": 8, "timed_out": 9, "internal": 70,
    }  # fmt: skip
    assert set(exits.OF_KIND) == set(KINDS)
    told = {
        int(number)
        for number in re.findall(r"^\s+(\d+) |   (\d+) ", STATUSES, re.MULTILINE)
        for number in number
        if number
    }
    table = (GOLDEN.parents[2] / "docs" / "command-line.md").read_text()
    documented = {int(number): kind for number, kind in re.findall(r"^\| (\d+) \| `(\w+)` \|", table, re.MULTILINE)}
    assert documented == {number: kind for kind, number in exits.OF_KIND.items()}
    assert set(documented) <= told


def test_version_in_one_line(world: World) -> None:
    done = world.run("--version")
    assert done.stdout.startswith(b"banger ")
    assert done.stdout.count(b"\n") == 1
