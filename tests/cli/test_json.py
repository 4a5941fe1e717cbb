"""`--json` is on every command whose output is its own, and what it prints is promised in docs/json-schema.json."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from jsonschema import ValidationError
from tests.cli.world import World
from tests.fakes.daemon import FakeDaemon, view_error, view_vm
from tests.json_outputs import check_failure, check_output

from banger.api.outputs import OUTPUTS, schema
from banger.cli.arguments import Parser
from banger.cli.main import load
from banger.cli.table import COMMANDS

DOCS = Path(__file__).parents[2] / "docs"
# What they print is not theirs: a guest's output, or a patch. Their results are exit statuses.
OUTPUT_OF_OTHERS = {"vm ssh", "vm jobs logs", "vm workspace export", "vm workspace diff"}


def test_every_other_command_has_it_and_a_schema() -> None:
    having = set()
    for command in COMMANDS:
        parser = Parser(command.words)
        load(command).declare(parser)
        if any("--json" in action.option_strings for action in parser.listed):
            having.add(" ".join(command.words))
    assert having == set(OUTPUTS), "list it in banger.api.outputs, then `make json-schema`"
    shown = {" ".join(command.words) for command in COMMANDS if not command.hidden}
    assert shown - having == OUTPUT_OF_OTHERS


def test_the_page_is_what_the_types_say() -> None:
    """`make json-schema` writes it."""
    assert json.loads((DOCS / "json-schema.json").read_text()) == schema()
    page = (DOCS / "json.md").read_text()
    assert all(f"`{words}`" in page for words in OUTPUT_OF_OTHERS)


@pytest.mark.parametrize(
    ("words", "route", "answer"),
    [
        (("vm", "list"), "/v1/vms", {"vms": [view_vm()]}),
        (("ps",), "/v1/vms", {"vms": []}),
        (("image", "list"), "/v1/images", {"images": []}),
        (("kernel", "list"), "/v1/kernels", {"kernels": []}),
    ],
)
def test_what_is_printed_is_as_promised(
    world: World, daemon: FakeDaemon, words: tuple[str, ...], route: str, answer: object
) -> None:
    daemon.answers("GET", route, answer)
    check_output(words, json.loads(world.run(*words, "--json").stdout))


@pytest.mark.parametrize(
    "words",
    [
        ("version",),
        ("config", "show"),
        ("config", "path"),
        ("config", "check"),
        ("daemon", "status"),
        ("daemon", "stop"),
        ("completion", "zsh"),
        ("completion", "install", "--shell", "fish"),
        ("completion", "uninstall", "--shell", "fish"),
        ("ssh-config", "--uninstall"),
    ],
)
def test_without_a_daemon_too(world: World, words: tuple[str, ...]) -> None:
    check_output(words, json.loads(world.run(*words, "--json").stdout))


def test_a_failure_is_a_document_too(world: World, daemon: FakeDaemon) -> None:
    daemon.answers("GET", "/v1/vms", {"error": view_error("failed", "no", hint="try", log="x")}, status=500)
    for words in (("vm", "list"), ("vm", "show"), ("vm", "start", "box", "--bogus")):
        done = world.run(*words, "--json")
        assert done.returncode != 0
        check_failure(json.loads(done.stdout))


def test_more_or_less_than_promised_is_noticed() -> None:
    vm = view_vm()
    check_output(("vm", "list"), {"vms": [vm]})
    for wrong in ({**vm, "new": 1}, {key: vm[key] for key in vm if key != "name"}, {**vm, "vcpu": "2"}):
        with pytest.raises(ValidationError):
            check_output(("vm", "list"), {"vms": [wrong]})
