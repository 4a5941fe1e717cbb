from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from tests.cli.world import World

from banger.cli.arguments import Parser
from banger.cli.help import ROOT_PAGE
from banger.cli.main import load
from banger.cli.table import COMMANDS, GROUPS, find_command

GOLDEN = Path(__file__).parent / "golden"
PAGES = {
    "banger": ("--help",),
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


def test_version_in_one_line(world: World) -> None:
    done = world.run("--version")
    assert done.stdout.startswith(b"banger ")
    assert done.stdout.count(b"\n") == 1
