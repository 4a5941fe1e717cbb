from __future__ import annotations

import io
from typing import Any

import pytest
from tests.fakes.daemon import view_vm

from banger.cli import exits
from banger.cli.commands.doctor import render_checks
from banger.cli.commands.vm_list import render_vms
from banger.cli.commands.workspace_export import render_summary
from banger.cli.console_text import clean_console
from banger.cli.failures import error_json, render_error
from banger.cli.render import Style, format_age, format_duration, render_bar, render_fields, render_json, render_table
from banger.core.errors import KINDS, Denied, NotFound, Unavailable

PLAIN = Style(enabled=False)
COLOURS = Style(enabled=True)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("environment", "coloured"),
    [
        ({"TERM": "xterm"}, True),
        ({"TERM": "xterm", "NO_COLOR": ""}, True),
        ({"TERM": "xterm", "NO_COLOR": "1"}, False),
        ({"TERM": "dumb"}, False),
        ({}, False),
    ],
)
def test_colour_is_for_terminals_that_want_it(environment: dict[str, str], coloured: bool) -> None:
    assert Style.for_stream(Terminal(), environment).enabled is coloured
    assert not Style.for_stream(io.StringIO(), environment).enabled


def test_a_table() -> None:
    table = render_table(("NAME", "SIZE"), [("box", "1 GiB"), ("longer-name", "")], PLAIN)
    assert table == "NAME         SIZE\nbox          1 GiB\nlonger-name  -\n"


def test_cells_cannot_move_the_cursor_or_fill_the_screen() -> None:
    table = render_table(("A",), [("\x1b[2J\nx",), ("y" * 100,)], PLAIN)
    assert table.splitlines()[1:] == ["\\x1b[2J\\nx", "y" * 60 + "..."]


def test_fields_with_several_lines() -> None:
    assert render_fields([("a", "1"), ("long", "2\n3\x07")], PLAIN) == "a     1\nlong  2\n      3\\x07\n"


def test_json_is_ascii() -> None:
    assert render_json({"name": "\x1b[31mé"}) == '{\n  "name": "\\u001b[31m\\u00e9"\n}\n'


@pytest.mark.parametrize(
    ("seconds", "age"),
    [(-5, "0s ago"), (0, "0s ago"), (59, "59s ago"), (60, "1m ago"), (3600, "1h ago"), (86400 * 3, "3d ago")],
)
def test_ages(seconds: float, age: str) -> None:
    assert format_age(1000.0, 1000.0 + seconds) == age


@pytest.mark.parametrize(("seconds", "text"), [(0.123, "0.12 s"), (5.06, "5.1 s"), (125.4, "2 min 5 s")])
def test_durations(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


def test_an_error_is_a_sentence_a_hint_and_an_operation() -> None:
    error = NotFound("there is no VM called x", hint="`banger vm list` shows all")
    error.data = {"operation": "op-0123456789"}
    assert render_error(error, PLAIN) == (
        "banger: there is no VM called x (op-0123456789)\n  hint: `banger vm list` shows all\n"
    )
    assert "\x1b[2m(op-0123456789)\x1b[0m" in render_error(error, COLOURS)
    assert render_error(error, PLAIN, subject="x").startswith("banger: x: there is no VM")


def test_an_error_cannot_move_the_cursor() -> None:
    text = render_error(Denied("no \x1b[2J\x07", hint="\r\x9b1A"), PLAIN)
    assert text == "banger: no \\x1b[2J\\x07\n  hint: \\r\\x9b1A\n"


def test_an_error_shows_the_end_of_a_log() -> None:
    error = Unavailable("the daemon ended", log="/x/daemon.log", log_tail="one\ntwo \x1b[1m")
    expected = "banger: the daemon ended\n  | one\n  | two \\x1b[1m\n  log: /x/daemon.log\n"
    assert render_error(error, PLAIN) == expected


def test_an_error_as_json_has_the_shape_of_the_daemons() -> None:
    error = Denied("no", hint="h", path="/x")
    error.data["operation"] = "op-1"
    expected = {"kind": "denied", "summary": "no", "hint": "h", "operation": "op-1", "data": {"path": "/x"}}
    assert error_json(error) == {"error": expected}


def test_every_kind_has_an_exit_status() -> None:
    assert set(exits.OF_KIND) == set(KINDS)
    assert all(0 < status < 128 for status in exits.OF_KIND.values())
    assert len(set(exits.OF_KIND.values())) == len(KINDS)


def test_vms_are_listed_with_what_is_wrong_below() -> None:
    vms = [view_vm(), view_vm("otter", state="stopped", nat=True, workspaces=[], problem="its disk is full")]
    assert render_vms(vms, PLAIN, now_s=1_700_000_300.0) == (  # type: ignore[arg-type]  # plain dictionaries
        "ID        NAME   STATE    IMAGE            VCPU  MEMORY  DISK   NAT  WORKSPACE   CREATED\n"
        "0b5c1d6e  box    running  debian-bookworm  2     2 GiB   8 GiB  no   /root/repo  5m ago\n"
        "0b5c1d6e  otter  stopped  debian-bookworm  2     2 GiB   8 GiB  yes  -           5m ago\n"
        "otter: its disk is full\n"
    )


def test_a_console_is_text() -> None:
    raw = b"\x1b[2J[\x1b[0;32m  OK  \x1b[0m] Started\r\r\n\x1b]0;title\x07tab\there\r\nspin\rspun \xff\x9b\x07\x1bc\n"
    assert clean_console(raw) == "[  OK  ] Started\ntab\there\nspin\\rspun \\xff\\x9b\\x07\\x1bc\n"


def test_a_summary_of_a_patch() -> None:
    def changed(path: str, change: str, **more: object) -> dict[str, object]:
        modes = {"old_mode": "100644", "new_mode": "100644", "binary": False}
        return {"path": path, "change": change, "additions": 0, "deletions": 0, **modes, **more}

    plain = Style(enabled=False)
    files = [changed("a\n\x1b", "modified", additions=1), changed("b", "added", binary=True)]
    result: Any = {"files": files, "file_count": 2, "additions": 1, "deletions": 0, "size_bytes": 2048}
    result["base_commit"] = "c" * 40
    result["findings"] = [{"kind": "new_binaries", "title": "binaries", "count": 7, "paths": ["b"]}]
    assert render_summary(result, plain) == (
        "  M a\\n\\x1b  1 +\n  A b (binary)\n2 files changed, 1 line added, 0 removed, 2 KiB, since cccccccccccc\n"
        "Worth a look:\n  binaries:\n    b\n    and 6 more"
    )
    listed = [changed(str(n), "added") for n in range(25)]
    many: Any = {**result, "files": listed, "file_count": 20_000}
    assert render_summary(many, plain).splitlines()[19:21] == ["  A 19", "  and 19980 more"]
    assert "20000 files changed" in render_summary(many, plain)
    nothing: Any = {**result, "files": [], "file_count": 0}
    assert "empty" in render_summary(nothing, plain)


def test_checks_of_doctor() -> None:
    checks = [
        {"id": "a", "title": "QEMU", "level": "pass", "text": "8.2", "fix": ""},
        {"id": "b", "title": "KVM", "level": "warn", "text": "does not run a guest", "fix": ""},
        {
            "id": "c",
            "title": "network",
            "level": "fail",
            "text": "no passt\nlooked in PATH",
            "fix": "apt install passt",
        },
    ]
    assert render_checks(checks, PLAIN) == (  # type: ignore[arg-type]  # plain dictionaries
        "PASS  QEMU     8.2\n"
        "WARN  KVM      does not run a guest\n"
        "FAIL  network  no passt\n"
        "               looked in PATH\n"
        "               fix: apt install passt\n"
        "\n1 passed, 1 warning, 1 failed\n"
    )
    assert "\x1b[31mFAIL\x1b[0m" in render_checks(checks, COLOURS)  # type: ignore[arg-type]  # as above


def test_a_bar_of_phases() -> None:
    timings_s = {"start": 2.0, "agent": 0.5, "kernel": 1.4, "vmm": 0.05, "disks": 0.05, "guest": 1.95}
    assert render_bar(timings_s) == f"vmm 50ms #  kernel 1.4s {'#' * 28}  disks 50ms #  agent 0.5s {'#' * 10}"
    assert render_bar({"agent": 0.0}) == "agent 0ms #"
    assert render_bar({}) == ""
