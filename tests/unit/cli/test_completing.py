"""What may follow which words: without a shell, and without a daemon."""

from __future__ import annotations

import pytest

from banger.cli.commands.internal_complete import parser_of, render, split_line
from banger.cli.completing import Answer, Candidate, complete
from banger.cli.table import COMMANDS, TOP

NAMES = {
    "vm": [Candidate("box", "running"), Candidate("otter", "stopped")],
    "image": [Candidate("tiny", "image")],
    "kernel": [Candidate("mine", "Linux 6.1.0")],
    "image-to-pull": [Candidate("debian-bookworm", "Debian 12")],
    "job:box": [Candidate("1", "running: make"), Candidate("12", "ended: true")],
    "kernel-to-pull": [Candidate("debian-cloud", "Debian's")],
}


def answer(*words: str) -> Answer:
    return complete(words, names=lambda kind: NAMES.get(kind, []), load=parser_of)


def found(*words: str) -> set[str]:
    return {candidate.word for candidate in answer(*words).candidates}


def test_the_first_word() -> None:
    assert found("") == {*TOP, "ps", "help"}
    assert found("ver") == {"version"}
    assert found("--") == {"--help", "--version"}
    assert found() == found("")
    assert found("bogus", "") == set()


def test_no_hidden_command_is_offered() -> None:
    assert all(command.words[0] not in found("") for command in COMMANDS if command.hidden)


@pytest.mark.parametrize("before", [(), ("help",)])
def test_words_of_the_table(before: tuple[str, ...]) -> None:
    assert {"run", "exec", "workspace"} <= found(*before, "vm", "")
    assert "export" in found(*before, "vm", "workspace", "")
    assert found(*before, "image", "cache", "p") == {"prune"}
    assert {"install", "uninstall"} <= found(*before, "completion", "")


def test_words_beside_each_other() -> None:
    assert found("completion", "") == {"bash", "zsh", "fish", "install", "uninstall"}
    assert found("completion", "install", "--shell", "z") == {"zsh"}


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (("vm", "exec", ""), {"box", "otter"}),
        (("vm", "exec", "o"), {"otter"}),
        (("vm", "exec", "--user", "root", "b"), {"box"}),
        (("vm", "exec", "--user", ""), set()),
        (("vm", "exec", "box", ""), set()),
        (("vm", "exec", "box", "--", ""), set()),
        (("vm", "exec", "box", "ls", "-"), set()),
        (("vm", "stop", "box", ""), {"otter"}),
        (("vm", "stop", "box", "-q", ""), {"otter"}),
        (("vm", "run", "--image", ""), {"tiny"}),
        (("vm", "run", "--image=t"), {"--image=tiny"}),
        (("vm", "run", "--kernel", "m"), {"mine"}),
        (("vm", "start", "--wait", ""), {"agent", "ssh"}),
        (("image", "pull", ""), {"debian-bookworm"}),
        (("image", "show", ""), {"tiny"}),
        (("image", "delete", "tiny", ""), set()),
        (("kernel", "pull", "d"), {"debian-cloud"}),
        (("kernel", "rm", ""), {"mine"}),
        (("vm", "rename", "box", ""), set()),
        (("vm", "kill", "--signal", "T"), {"TERM"}),
        (("vm", "jobs", "logs", ""), {"box", "otter"}),
        (("vm", "jobs", "logs", "box", ""), {"1", "12"}),
        (("vm", "jobs", "wait", "box", "1", "12"), {"12"}),
        (("vm", "jobs", "kill", "otter", ""), set()),
        (("image", "pull", "--platform=linux/ar"), {"--platform=linux/arm64"}),
        (("image", "export", "t"), {"tiny"}),
        (("ps", "--j"), {"--json"}),
        (("vm", "list", "--json", "--j"), set()),
        (("vm", "exec", "box", "--env", "A=1", "--en"), {"--env"}),
    ],
)
def test_values_and_options(words: tuple[str, ...], names: set[str]) -> None:
    assert found(*words) == names


def test_files_of_this_computer() -> None:
    assert answer("vm", "run", "").files == "directories"
    assert answer("kernel", "import", "./").files == "files"
    assert answer("vm", "workspace", "export", "box", "--output=x").files == "files"
    assert answer("vm", "cp", "b") == Answer((Candidate("box:", "running"),), "files")
    assert answer("vm", "cp", "box:/et") == Answer()
    assert answer("vm", "exec", "").files == ""


def test_a_double_hyphen_may_begin_an_option() -> None:
    assert {"--help", "--image", "--rm"} <= found("vm", "run", "--")


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: "-".join(command.words))
def test_every_command_can_be_completed(command: object) -> None:
    words = getattr(command, "words")  # noqa: B009
    assert "--help" in found(*words, "--")
    found(*words, "")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("banger", ["banger"]),
        ("banger ", ["banger", ""]),
        ("banger vm  exec 'bo", ["banger", "vm", "exec", "bo"]),
        ('banger vm exec "b o', ["banger", "vm", "exec", "b o"]),
        ("banger a\\ b", ["banger", "a b"]),
        ("banger a\\ ", ["banger", "a "]),
        ("banger x\\", ["banger", "x\\"]),
        ("banger --image=ti", ["banger", "--image=ti"]),
        ("banger # no comment", ["banger", "#", "no", "comment"]),
        ("banger ''", ["banger", ""]),
        ("", []),
    ],
)
def test_an_unfinished_line(line: str, words: list[str]) -> None:
    assert split_line(line) == words


def test_each_shell_gets_its_own_form() -> None:
    given = Answer((Candidate("box:", "a: b\x1b[2J"), Candidate("tiny")), "files")
    assert render(given, shell="fish", current="", breaks="") == ":files\nbox:\ta: b\\x1b[2J\ntiny\n"
    assert render(given, shell="zsh", current="", breaks="") == ":files\nbox\\::a: b\\x1b[2J\ntiny\n"
    assert render(given, shell="bash", current="", breaks="=:") == ":files\nbox:\ntiny\n"
    option = Answer((Candidate("--image=tiny"),))
    assert render(option, shell="bash", current="--image=t", breaks=" =:") == ":\ntiny\n"
    assert render(option, shell="bash", current="--image=t", breaks=" :") == ":\n--image=tiny\n"
