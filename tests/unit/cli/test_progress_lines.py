from __future__ import annotations

from typing import Any

import pytest

from banger.cli.progress import Progress, describe_measure
from banger.cli.render import Style


def stage(state: str, **more: Any) -> dict[str, Any]:
    return {"event": "stage", "stage": "boot", "text": "booting", "state": state} | more


@pytest.mark.parametrize(
    ("measure", "text"),
    [
        ({}, ""),
        ({"done": 5}, ""),
        ({"done": 3 << 20, "unit": "bytes"}, "3 MiB"),
        ({"done": 3 << 20, "total": 9 << 20, "unit": "bytes"}, "3 MiB of 9 MiB"),
        ({"done": 1200, "total": 5000, "unit": "files"}, "1,200 of 5,000 files"),
        ({"done": 7, "unit": "packages"}, "7 packages"),
    ],
)
def test_measures(measure: dict[str, Any], text: str) -> None:
    assert describe_measure(stage("progress", **measure)) == text  # type: ignore[arg-type]  # a plain dictionary


def test_elsewhere_each_stage_is_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    with Progress(live=False, quiet=False, style=Style(enabled=False)) as progress:
        progress.event(stage("begin"))
        for done in range(100):
            progress.event(stage("progress", done=done, unit="bytes"))
        progress.event(stage("end", elapsed_s=5.0))
        progress.event({"event": "notice", "text": "no KVM \x1b[2J"})
        progress.event({"event": "vm", "vm": {}})
        progress.done("ready")
    assert capfd.readouterr() == ("", "booting\nbanger: no KVM \\x1b[2J\nready\n")


def test_elsewhere_new_steps_of_a_stage_are_lines_and_measures_are_not(capfd: pytest.CaptureFixture[str]) -> None:
    with Progress(live=False, quiet=False, style=Style(enabled=False)) as progress:
        progress.event(stage("begin", text="reading lists"))
        progress.event(stage("progress", text="downloading"))
        for done in range(5):
            progress.event(stage("progress", text=f"setting up {done}", done=done, total=5, unit="packages"))
    assert capfd.readouterr().err == "reading lists\ndownloading\n"


def test_a_command_shares_standard_error_with_notices_only(capfd: pytest.CaptureFixture[str]) -> None:
    with Progress(live=False, quiet=False, style=Style(enabled=False)) as progress:
        progress.event(stage("begin"))
        progress.share()
        progress.event(stage("begin", stage="stop", text="stopping"))
        progress.event({"event": "notice", "text": "x"})
    assert capfd.readouterr().err == "booting\nbanger: x\n"


def test_quiet_is_quiet(capfd: pytest.CaptureFixture[str]) -> None:
    with Progress(live=True, quiet=True, style=Style(enabled=False)) as progress:
        progress.event(stage("begin"))
        progress.notice("x")
        progress.done("ready")
    assert capfd.readouterr() == ("", "")


def test_a_live_line_is_redrawn_and_gone_in_the_end(capfd: pytest.CaptureFixture[str]) -> None:
    with Progress(live=True, quiet=False, style=Style(enabled=False)) as progress:
        progress.event(stage("begin"))
        progress.event(stage("progress", done=1 << 20, total=2 << 20, unit="bytes"))
        progress.notice("software emulation")
        progress.event(stage("end", elapsed_s=3.0))
    written = capfd.readouterr().err
    assert "\r\x1b[Kbooting  1 MiB of 2 MiB  0.0" in written
    assert "\r\x1b[Kbanger: software emulation\n" in written
    assert "booting: 3.0 s\n" in written
    assert written.endswith("booting: 3.0 s\n")


def test_short_stages_leave_no_line(capfd: pytest.CaptureFixture[str]) -> None:
    with Progress(live=True, quiet=False, style=Style(enabled=False)) as progress:
        progress.event(stage("begin"))
        progress.event(stage("end", elapsed_s=0.2))
    assert "\n" not in capfd.readouterr().err


def test_details_are_lines_only_for_who_asked(capfd: pytest.CaptureFixture[str]) -> None:
    for verbose in (False, True):
        with Progress(live=False, quiet=False, verbose=verbose, style=Style(enabled=False)) as progress:
            progress.event(stage("begin"))
            progress.event(stage("begin", stage="kernel", text="booting box: kernel", detail=True))
            progress.event(stage("end", stage="kernel", text="box: kernel", detail=True, elapsed_s=1.5))
            progress.event(stage("end", stage="disks", text="box: disks", detail=True))
            progress.event(stage("end", elapsed_s=2.0))
    assert capfd.readouterr().err == "booting\nbooting\nbox: kernel: 1.5 s\nbox: disks: passed\n"


def test_details_show_live_and_leave_no_line(capfd: pytest.CaptureFixture[str]) -> None:
    with Progress(live=True, quiet=False, style=Style(enabled=False)) as progress:
        progress.event(stage("begin"))
        progress.event(stage("begin", stage="kernel", text="booting box: kernel", detail=True))
        progress.event(stage("end", stage="kernel", text="box: kernel", detail=True, elapsed_s=9.0))
        progress.event(stage("end", elapsed_s=0.2))
    written = capfd.readouterr().err
    assert "\r\x1b[Kbooting box: kernel" in written
    assert "\n" not in written
