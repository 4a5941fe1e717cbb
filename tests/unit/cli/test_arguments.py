from __future__ import annotations

from argparse import Namespace
from typing import Any

import pytest

from banger.cli import habits
from banger.cli.arguments import Parser
from banger.cli.failures import unknown_command
from banger.cli.main import load
from banger.cli.table import ALIASES, COMMANDS, GROUPS, find_command
from banger.core.errors import Invalid


def parse(line: str) -> Namespace:
    """Parse a line of `banger`, split at spaces."""
    words = line.split(" ")
    for count in (3, 2, 1):
        command = find_command(tuple(words[:count]))
        if command is not None:
            parser = Parser(command.words)
            load(command).declare(parser)
            return parser.parse(words[count:])
    raise AssertionError(line)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("vm exec box -- ls -la", {"vm": "box", "command": ["ls", "-la"], "tty": False}),
        ("vm exec box ls -la", {"vm": "box", "command": ["ls", "-la"], "tty": False}),
        ("vm exec box", {"vm": "box", "command": None}),
        ("vm exec -t box ls", {"vm": "box", "command": ["ls"], "tty": True}),
        ("vm exec box -t ls -t", {"vm": "box", "command": ["ls", "-t"], "tty": True}),
        ("vm exec box --cwd /tmp ls --cwd x", {"cwd": "/tmp", "command": ["ls", "--cwd", "x"]}),
        ("vm exec box --cwd=/tmp -- ls", {"cwd": "/tmp", "command": ["ls"]}),
        ("vm exec --user nobody box id", {"user": "nobody", "vm": "box", "command": ["id"]}),
        ("vm exec box -e A=1 --env B=2 env", {"env": ["A=1", "B=2"], "command": ["env"]}),
        ("vm exec box -eA=1 env", {"env": ["A=1"], "command": ["env"]}),
        ("vm exec box -- --help", {"command": ["--help"]}),
        ("vm exec box sh -- -h", {"command": ["sh", "--", "-h"]}),
        ("vm exec box -- -- x", {"command": ["--", "x"]}),
        ("vm exec box -", {"command": ["-"]}),
        ("vm run", {"path": None, "command": None, "rm": False, "vcpu": None, "memory": None, "disk": None}),
        ("vm run . -- make test", {"path": ".", "command": ["make", "test"]}),
        ("vm run --rm . --nat -- make", {"path": ".", "rm": True, "nat": True, "command": ["make"]}),
        ("vm run -d --name box .", {"path": ".", "name": "box", "detach": True}),
        ("vm run --memory 4G --disk 20GiB --vcpu 2", {"memory": 4096, "disk": 20 << 30, "vcpu": 2}),
        ("vm run --memory 512", {"memory": 512}),
        ("vm run -- --rm", {"rm": False, "command": ["--rm"]}),
        ("vm start a b c", {"vm": ["a", "b", "c"]}),
        ("vm workspace export box -o f", {"vm": "box", "output": "f"}),
        ("vm ssh box -- uptime -p", {"vm": "box", "command": ["uptime", "-p"]}),
        ("image pull --platform arm64", {"image": "debian-bookworm", "name": None, "platform": "linux/arm64"}),
        ("image import - --name tiny", {"path": "-", "name": "tiny"}),
        ("ps -q", {"quiet": True}),
        ("internal-connect box 22", {"vm": "box", "port": 22}),
    ],
)
def test_words_become_options(line: str, expected: dict[str, Any]) -> None:
    options = vars(parse(line))
    assert {name: options[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("line", "summary", "hint"),
    [
        ("vm exec", "vm exec: VM is missing", "--help"),
        ("vm show", "vm show: VM is missing", "--help"),
        ("vm rename", "vm rename: VM and NAME are missing", "--help"),
        ("vm show " + "a" * 300, "'" + "a" * 100 + "...' is neither", "vm list"),
        ("vm exec box --", "no command after `--`", "--help"),
        ("vm run --", "no command after `--`", "--help"),
        ("vm exec --bogus box ls", "there is no option '--bogus'", "--help"),
        ("vm run --nmae x", "there is no option '--nmae'", "did you mean `--name`?"),
        ("vm run --memroy=4G", "there is no option '--memroy'", "did you mean `--memory`?"),
        ("vm run . make", "'make' is one word too many", "after `--`"),
        ("vm list box", "'box' is one word too many", "--help"),
        ("vm run --name", "--name needs a value", "--name=VALUE"),
        ("vm run --nam x", "there is no option '--nam'", "did you mean `--name`?"),
        ("vm run --name Box", "'B'", "lower-case"),
        ("vm run --name a.b", "'.'", "lower-case"),
        ("vm run --name -x", "--name needs a value", "--name=VALUE"),
        ("vm run --name=-x", "cannot start or end with a hyphen", "lower-case"),
        ("vm run --name=", "cannot be empty", "lower-case"),
        ("vm run --name " + "a" * 64, "64 characters long", "lower-case"),
        ("vm run --vcpu 0", "'0' is not possible", "1 to 256"),
        ("vm run --vcpu 257", "'257' is not possible", "1 to 256"),
        ("vm run --vcpu -1", "'-1' is not possible", "1 to 256"),
        ("vm run --vcpu two", "'two' is not possible", "1 to 256"),
        ("vm run --vcpu \u0662", "is not possible", "1 to 256"),
        ("vm run --memory 127M", "127 MiB is not possible", "128 MiB to 1 TiB"),
        ("vm run --memory 2T", "2 TiB is not possible", "128 MiB to 1 TiB"),
        ("vm run --memory 0", "is zero", "512M"),
        ("vm run --memory lots", "'lots' is not a size", "512M"),
        ("vm run --memory -4G", "--memory needs a value", "--memory=VALUE"),
        ("vm run --memory 202400.5K", "not a whole number of MiB", "4G"),
        ("vm run --disk 17T", "17 TiB is not possible", "64 MiB to 16 TiB"),
        ("vm run --disk 1M", "1 MiB is not possible", "64 MiB to 16 TiB"),
        ("vm show ../daemon", "neither a VM's name nor its id", "vm list"),
        ("vm show ", "neither a VM's name nor its id", "vm list"),
        ("vm delete a b?c", "neither a VM's name nor its id", "vm list"),
        ("image import f", "image import: --name is missing", "--help"),
        ("image import f --name Ä", "cannot contain", "lower-case"),
        ("internal-connect box 0", "is not a TCP port", "65535"),
        ("internal-connect box 65536", "is not a TCP port", "65535"),
        ("vm exec \udcff -- x", "neither a VM's name nor its id", "vm list"),
        ("vm exec box --cwd \udcff -- x", "is not valid UTF-8", "another name"),
    ],
)
def test_what_cannot_be_meant_is_refused(line: str, summary: str, hint: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse(line)
    assert summary in caught.value.summary
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("vm rnu", "banger vm run"),
        ("run", "banger vm run"),
        ("exec box ls", "banger vm exec"),
        ("export", "banger vm workspace export"),
        ("vm workspace exprt", "banger vm workspace export"),
        ("imgae list", "banger image"),
        ("docter", "banger doctor"),
        ("vm lst", "banger vm list"),
        ("logs box", "banger vm logs"),
        ("list", "banger vm list"),
        ("rm box", "banger vm delete"),
        ("images", "banger image list"),
        ("vm shell box", "banger vm exec"),
        ("vm inspect box", "banger vm show"),
        ("vm top", "banger vm stats"),
        ("vm jobs rm", "banger vm delete"),
        ("VM list", "banger vm"),
        ("vm LIST", "banger vm list"),
        ("vm diff box", "banger vm workspace diff"),
    ],
)
def test_unknown_words_get_the_nearest_command(line: str, meant: str) -> None:
    assert unknown_command(line.split()).hint == f"did you mean `{meant}`?"


def test_what_other_programs_call_things_is_a_command_here() -> None:
    table = {command.words for command in COMMANDS}
    groups = {group.words for group in GROUPS}
    for foreign, meant in habits.COMMANDS.items():
        assert tuple(meant.split()) in table, foreign
        assert tuple(foreign.split()) not in table | groups | set(ALIASES), foreign


def test_options_of_other_programs_are_none_here_and_what_is_said_of_them_is_true() -> None:
    for words, options in habits.OPTIONS.items():
        command = find_command(tuple(words.split()))
        assert command is not None, words
        parser = Parser(command.words)
        load(command).declare(parser)
        known = {name for action in parser.listed for name in action.option_strings}
        assert not known & set(options), words
        for hint in options.values():
            named = hint.removeprefix("did you mean `").removesuffix("`?") if hint.startswith("did you mean") else ""
            assert not named or named.split()[0] in known, (words, hint)


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("vm delete -f box", "leave it out"),
        ("vm run -it .", "-t gives it a terminal"),
        ("vm exec box -it sh", "-t gives it a terminal"),
        ("vm exec -w /tmp box ls", "did you mean `--cwd`?"),
        ("vm kill -9 box", "did you mean `--signal KILL`?"),
        ("vm create --cpus 2", "did you mean `--vcpu`?"),
        ("vm stop --jsno box", "did you mean `--json`?"),
        ("vm stop --jsno", "did you mean `--json`?"),
    ],
)
def test_an_unknown_option_is_told_of_before_what_it_causes(line: str, hint: str) -> None:
    with pytest.raises(Invalid, match="there is no option") as caught:
        parse(line)
    assert hint in caught.value.hint


def test_far_words_get_the_list() -> None:
    assert unknown_command(["vm", "xyzzy"]).hint == "`banger vm --help` lists what there is"
    assert unknown_command(["xyzzy"]).hint == "`banger --help` lists what there is"


def test_the_table_is_consistent() -> None:
    words = [command.words for command in COMMANDS]
    assert len(set(words)) == len(words)
    for command in COMMANDS:
        for depth in range(1, len(command.words)):
            assert command.words[:depth] in [group.words for group in GROUPS], command.words
    assert all(target in words for target in ALIASES.values())
    assert not set(ALIASES) & set(words)
    assert not {group.words for group in GROUPS} & set(words)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(command.words))
def test_every_command_has_what_help_needs(command: Any) -> None:
    module = load(command)
    parser = Parser(command.words)
    module.declare(parser)
    assert module.DESCRIPTION.rstrip().endswith(".")
    assert module.EXAMPLES
    for action in parser.listed:
        assert action.help, action.dest
        known = not action.option_strings or "[options]" in module.USAGE
        assert known or any(name in module.USAGE for name in action.option_strings), (
            f"{action.option_strings} is missing in USAGE"
        )
