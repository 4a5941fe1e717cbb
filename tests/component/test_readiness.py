"""What a start tells: its checks and how long they took, and everything that is known about one that failed."""

from __future__ import annotations

import json

from tests.component.fake_world import FakeWorld

RUN = ("vm", "run", "-d", "--no-workspace", "--name", "box")


def test_a_start_tells_its_checks(fake_world: FakeWorld) -> None:
    done = fake_world.banger(*RUN, "--nat", "-v")
    assert done.returncode == 0
    lines = done.stderr.decode().splitlines()
    assert lines[0] == "booting box"
    assert [line.split(":")[0:2] for line in lines[1:5]] == [
        ["box", f" {check}"] for check in ("kernel", "disks", "agent", "network")
    ]
    assert "agent" in lines[5]
    assert "#" in lines[5]
    detail = fake_world.json("vm", "show", "box")
    assert [(check["name"], check["state"]) for check in detail["checks"]] == [
        ("kernel", "pass"),
        ("agent", "pass"),
        ("disks", "pass"),
        ("network", "pass"),
        ("ssh", "skipped"),
    ]
    assert {"initramfs", "vmm", "agent", "network", "start"} <= detail["timings_s"].keys()
    fake_world.succeed("vm", "stop", "box")
    started = json.loads(fake_world.succeed("vm", "start", "box", "--json", "-q"))
    assert started["outcomes"][0]["vm"]["checks"][0]["name"] == "kernel"


def test_without_verbosity_a_boot_is_one_line(fake_world: FakeWorld) -> None:
    done = fake_world.banger(*RUN)
    assert [line.split()[0] for line in done.stderr.decode().splitlines()] == ["booting", "box"]


def test_a_boot_that_fails_says_all_that_is_known(fake_world: FakeWorld) -> None:
    fake_world.succeed(*RUN)
    fake_world.succeed("vm", "stop", "box")
    fake_world.kill_daemon()
    fake_world.start_daemon(vmm="dies")
    done = fake_world.banger("vm", "start", "box")
    assert done.returncode == 1
    text = done.stderr.decode()
    assert "box did not boot: the VMM ended before the guest answered" in text
    assert "`banger vm logs box`" in text
    assert "stage: kernel\n" in text
    assert "vmm: vmm: it is broken\n" in text
    assert "  | Kernel panic - \\x1b[31mno root\n" in text
    assert "console.log" in text
    assert fake_world.vms()[0]["state"] == "stopped"
    assert b"Kernel panic" in fake_world.succeed("vm", "logs", "box")


def test_a_run_that_fails_keeps_the_console_in_the_error(fake_world: FakeWorld) -> None:
    fake_world.kill_daemon()
    fake_world.start_daemon(vmm="dies")
    done = fake_world.banger(*RUN)
    assert done.returncode == 1
    text = done.stderr.decode()
    assert "Kernel panic" in text
    assert "vm logs" not in text
    assert "kept:" not in text
    fake_world.check_nothing_left()
