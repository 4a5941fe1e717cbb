"""Text from guests, images, registries and repositories, wherever a command prints it: it is shown, and moves nothing.

Every string of every document that the daemon may answer with is hostile at once, also where the daemon would not let it be.
"""

from __future__ import annotations

import unicodedata
from typing import Any

import msgspec
import pytest
from tests.cli.world import World
from tests.fakes.daemon import Exchange, FakeDaemon, view_error

from banger.api import framing, messages
from banger.cli.table import COMMANDS

EVIL = "evil\x1b[2J\x1b]0;title\x07\r\x08\u009b31m\u202egpj.exe\u2066\u200f\x7f\nnext\tline"
# They print what one of those that are tried prints, through the same function.
ALIKE = {
    "vm restart", "vm kill", "vm pause", "vm resume", "vm set", "vm delete", "vm prune", "image import", "image build",
    "image register", "image promote", "kernel import", "kernel rm", "vm workspace prepare", "vm jobs wait", "vm jobs kill",
    "image export", "lock", "daemon restart", "vm forward",
}  # fmt: skip
# They print nothing that comes from elsewhere.
OWN = {
    "version", "config show", "config check", "config path", "daemon stop", "ssh-config", "completion bash",
    "completion zsh", "completion fish", "completion install", "completion uninstall",
    "system install", "system status", "system restart", "system uninstall",
}  # fmt: skip
# Consoles: tests/unit/cli/test_console_text.py. What the package index says: tests/component/test_updating.py. The others pass on, as it is, what a program in the guest prints, or a patch.
ELSEWHERE = {
    "vm logs", "vm run", "vm exec", "vm ssh", "vm jobs logs", "vm workspace export", "vm workspace diff", "update",
}  # fmt: skip
EVENTS: list[dict[str, Any]] = [
    {"event": "stage", "stage": EVIL, "text": EVIL, "state": "begin"},
    {"event": "stage", "stage": EVIL, "text": EVIL, "state": "progress", "done": 1, "total": 2, "unit": "bytes"},
    {"event": "notice", "text": EVIL},
    {"event": "stage", "stage": EVIL, "text": EVIL, "state": "end", "elapsed_s": 3.0},
]
PLAIN = {
    ("vm", "list"): ("GET", "/v1/vms", {"vms": [messages.VmView]}),
    ("image", "list"): ("GET", "/v1/images", {"images": [messages.ImageView]}),
    ("image", "list", "-q"): ("GET", "/v1/images", {"images": [messages.ImageView]}),
    ("kernel", "list"): ("GET", "/v1/kernels", {"kernels": [messages.KernelView]}),
    ("image", "show", "x"): ("GET", "/v1/images/x", messages.ImageDetail),
    ("kernel", "show", "x"): ("GET", "/v1/kernels/x", messages.KernelDetail),
    ("system", "df"): ("GET", "/v1/system/df", messages.DiskUsage),
    ("doctor", "--leaks"): ("GET", "/v1/system/leaks", messages.LeaksResult),
    ("daemon", "status"): ("GET", "/v1/ping", messages.Ping),
    ("vm", "jobs", "list", "box"): ("GET", "/v1/vms/box/jobs", messages.JobsResult),
    ("vm", "show", "box"): ("POST", "/v1/vms/show", {"outcomes": [messages.Observation]}),
    ("vm", "stats", "box"): ("POST", "/v1/vms/stats", {"outcomes": [messages.Observation]}),
    ("vm", "ports", "box"): ("POST", "/v1/vms/ports", {"outcomes": [messages.Observation]}),
    ("vm", "health", "box"): ("POST", "/v1/vms/health", {"outcomes": [messages.Observation]}),
    ("vm", "ping", "box", "-c", "1"): ("POST", "/v1/vms/ping", {"outcomes": [messages.Observation]}),
}
PROGRESS = {
    ("doctor",): ("/v1/doctor", messages.DoctorResult),
    ("image", "pull"): ("/v1/images/pull", messages.ImageView),
    ("image", "list", "--available"): ("/v1/images/available", messages.AvailableResult),
    ("kernel", "list", "--available"): ("/v1/kernels/available", messages.AvailableResult),
    ("kernel", "pull"): ("/v1/kernels/pull", messages.KernelView),
    ("image", "delete", "x"): ("/v1/images/delete", messages.NamesResult),
    ("image", "cache", "prune"): ("/v1/images/cache/prune", messages.PruneResult),
    ("image", "save", "box", "x"): ("/v1/images/save", messages.ImageView),
    ("vm", "create"): ("/v1/vms/create", messages.VmView),
    ("vm", "start", "box", "-v"): ("/v1/vms/start", messages.TargetsResult),
    ("vm", "stop", "box"): ("/v1/vms/stop", messages.TargetsResult),
    ("vm", "rename", "box", "crate"): ("/v1/vms/set", messages.TargetsResult),
    ("vm", "cp", "box:/x", "."): ("/v1/vms/box/copy", messages.CopyResult),
    ("vm", "workspace", "status", "box"): ("/v1/vms/box/workspace/status", messages.WorkspaceStatus),
    ("vm", "workspace", "fetch", "box"): ("/v1/vms/box/workspace/fetch", messages.FetchResult),
    ("vm", "workspace", "apply", "box", "--check"): ("/v1/vms/box/workspace/review", messages.ReviewResult),
}


def hostile(kind: Any, *, failing: bool = False) -> Any:
    """A document of a type, or of the same shape as a literal: all that may be there is, and every text is hostile."""
    if isinstance(kind, dict):
        return {key: hostile(value, failing=failing) for key, value in kind.items()}
    if isinstance(kind, list):
        return [hostile(one, failing=failing) for one in kind]
    (root,), definitions = msgspec.json.schema_components([kind], ref_template="{name}")
    return _fill(root, definitions, failing=failing)


def _fill(schema: dict[str, Any], definitions: dict[str, Any], *, failing: bool, name: str = "") -> Any:  # noqa: PLR0911
    if "$ref" in schema:
        return _fill(definitions[schema["$ref"]], definitions, failing=failing, name=name)
    if "anyOf" in schema:
        if name == "error" and not failing:
            return None
        some = [one for one in schema["anyOf"] if one.get("type") != "null"]
        return _fill(some[0], definitions, failing=failing, name=name)
    if "enum" in schema:
        return schema["enum"][0]
    if schema.get("type") == "array":
        return [_fill(schema["items"], definitions, failing=failing, name=name) for _ in range(3)]
    if "properties" in schema:
        return {
            key: _fill(value, definitions, failing=failing, name=key) for key, value in schema["properties"].items()
        }
    if schema.get("type") == "object":
        value = schema.get("additionalProperties", {"type": "string"})
        return {EVIL: _fill(value, definitions, failing=failing, name=name)}
    return {"string": EVIL, "integer": 1, "number": 1.5, "boolean": True}[schema["type"]]


def check_harmless(world: World, *words: str) -> bytes:
    """Run it, with and without `--json` where it has that; what it printed, all of which is text and line feeds."""
    done = world.run(*words)
    printed = done.stdout + done.stderr
    assert b"Traceback" not in printed
    assert b"something went wrong inside banger" not in printed, printed.decode()
    moving = {c for c in printed.decode() if c not in "\n\t" and unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp")}
    assert moving == set(), printed
    return printed


@pytest.mark.parametrize("failing", [False, True], ids=["good", "failing"])
@pytest.mark.parametrize("words", PLAIN, ids=" ".join)
def test_answers(world: World, daemon: FakeDaemon, words: tuple[str, ...], failing: bool) -> None:
    method, path, kind = PLAIN[words]
    daemon.answers(method, path, hostile(kind, failing=failing))
    assert b"evil" in check_harmless(world, *words) or words[1] == "ping"
    check_harmless(world, *words, *(["--json"] if "-q" not in words else []))


@pytest.mark.parametrize("failing", [False, True], ids=["good", "failing"])
@pytest.mark.parametrize("words", PROGRESS, ids=" ".join)
def test_progress_and_results(world: World, daemon: FakeDaemon, words: tuple[str, ...], failing: bool) -> None:
    path, kind = PROGRESS[words]
    daemon.reports(path, [*EVENTS, {"result": hostile(kind, failing=failing)}])
    assert b"evil" in check_harmless(world, *words)


@pytest.mark.parametrize("words", [("vm", "list"), ("vm", "start", "box"), ("vm", "exec", "box", "x")], ids=" ".join)
def test_errors(world: World, daemon: FakeDaemon, words: tuple[str, ...]) -> None:
    names = ("stage", "vmm_error", "console", "kept", "log_tail", "log")
    error = {**view_error("failed", EVIL, hint=EVIL, **dict.fromkeys(names, EVIL)), "operation": EVIL}
    daemon.answers("GET", "/v1/vms", {"error": error}, status=500)
    daemon.reports("/v1/vms/start", [*EVENTS, {"error": error}])
    daemon.on("POST", "/v1/vms/box/exec", lambda exchange: exchange.send_json({"error": error}, status=500))
    printed = check_harmless(world, *words)
    assert printed.count(b"evil") >= 8
    check_harmless(world, *words, *(["--json"] if words[1] != "exec" else []))


def test_notices_beside_a_guests_own_output(world: World, daemon: FakeDaemon) -> None:
    """What the command in the guest prints is passed on as it is; what banger says about it is not the guest's to shape."""

    def run(exchange: Exchange) -> None:
        for event in EVENTS:
            exchange.frame(framing.EVENT, event)
        exchange.result(0)

    daemon.streams("/v1/vms/box/exec", run)
    assert b"evil" in check_harmless(world, "vm", "exec", "box", "x")


def test_no_command_is_forgotten() -> None:
    tried = {words[:count] for words in (*PLAIN, *PROGRESS) for count in (1, 2, 3)}
    shown = {command.words for command in COMMANDS if not command.hidden}
    assert shown - tried == {tuple(words.split()) for words in ALIKE | OWN | ELSEWHERE}
