"""Plain and progress requests: what is asked of the daemon, what is printed, and the exit status."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.cli.world import DEADLINE_S, World
from tests.fakes.daemon import VM_ID, Exchange, FakeDaemon, view_error, view_vm

from banger.api.version import API_VERSION
from banger.cli.exits import OF_KIND

# What is said of an error of the daemon that has no hint of its own.
LOG_HINT = "  hint: the daemon's log has the details about op-0123456789; `banger daemon status` says where it is\n"

IMAGE = {
    "name": "debian-bookworm",
    "digest": "sha256:" + "ab" * 32,
    "architecture": "x86_64",
    "size_bytes": 400 << 20,
    "init": None,
    "created_at_s": 1_700_000_000.0,
    "source": "debian",
}
DETAIL = {
    "origins": {"image": "built-in", "vcpu": "host", "memory_mib": "config", "disk_bytes": "flag"},
    "image_digest": "sha256:11",
    "kernel_digest": "sha256:22",
    "directory": "/x",
    "disk_used_bytes": 1 << 20,
    "boot_id": "b00t",
    "timings_s": {"boot": 1.25},
}


def test_list(world: World, daemon: FakeDaemon) -> None:
    daemon.answers("GET", "/v1/vms", {"vms": [view_vm("otter"), view_vm("box")]})
    table = world.run("vm", "list").stdout.decode().splitlines()
    assert [line.split()[1] for line in table] == ["NAME", "box", "otter"]
    assert world.run("ps").stdout.decode().splitlines() == table
    assert world.run("vm", "ps", "-q").stdout.decode() == f"{VM_ID}\n{VM_ID}\n"
    document = json.loads(world.run("vm", "list", "--json").stdout)
    assert document == {"vms": [view_vm("box"), view_vm("otter")]}
    assert daemon.requests[0].headers["banger-api"] == str(API_VERSION)


def test_list_of_nothing(world: World, daemon: FakeDaemon) -> None:
    daemon.answers("GET", "/v1/vms", {"vms": []})
    done = world.run("vm", "list")
    assert (done.returncode, done.stdout) == (0, b"")
    assert b"banger vm run" in done.stderr
    assert json.loads(world.run("vm", "list", "--json").stdout) == {"vms": []}
    assert world.run("vm", "list", "-q").stdout == b""


def test_show(world: World, daemon: FakeDaemon) -> None:
    seen = {"ref": "box", "name": "box", "error": None, "vm": view_vm() | DETAIL}
    gone = {"ref": "gone", "name": None, "error": view_error("not_found", "there is no VM gone")}
    daemon.answers("POST", "/v1/vms/show", {"outcomes": [seen]})
    shown = world.run("vm", "show", "box").stdout.decode()
    assert "debian-bookworm (built-in), sha256:11\n" in shown
    assert "2 (host)\n" in shown
    assert "2 GiB (config)\n" in shown
    assert "8 GiB (flag), 1 MiB used" in shown
    assert "debian-6.1, sha256:22\n" in shown
    assert "boot: 1.2 s" in shown
    assert json.loads(world.run("vm", "show", "box", "--json").stdout) == view_vm() | DETAIL
    daemon.answers("POST", "/v1/vms/show", {"outcomes": [gone, seen, seen]})
    done = world.run("vm", "show", "gone", "box", "0b5c")
    assert (done.returncode, done.stdout.decode()) == (OF_KIND["not_found"], f"{shown}\n{shown}")
    assert done.stderr.decode().startswith("banger: there is no VM gone (op-0123456789)\n  hint: the daemon's log")
    assert daemon.requests[-1].body == {"refs": ["gone", "box", "0b5c"]}
    done = world.run("vm", "show", "gone", "box", "0b5c", "--json")
    listed = [{"ref": "gone", "error": gone["error"]}, seen["vm"], seen["vm"]]
    assert (done.returncode, done.stderr, json.loads(done.stdout)) == (OF_KIND["not_found"], b"", listed)


@pytest.mark.parametrize("kind", sorted(OF_KIND))
def test_the_kind_of_an_error_is_the_exit_status(world: World, daemon: FakeDaemon, kind: str) -> None:
    outcome = {"ref": "box", "name": "box", "error": view_error(kind, "it is so", hint="do that")}
    daemon.answers("POST", "/v1/vms/show", {"outcomes": [outcome]})
    done = world.run("vm", "show", "box")
    assert done.returncode == OF_KIND[kind]
    assert done.stdout == b""
    assert done.stderr.decode() == "banger: it is so (op-0123456789)\n  hint: do that\n"
    done = world.run("vm", "show", "box", "--json")
    assert done.returncode == OF_KIND[kind]
    assert done.stderr == b""
    assert json.loads(done.stdout) == {"error": view_error(kind, "it is so", hint="do that")}


def test_logs_cannot_control_a_terminal(world: World, daemon: FakeDaemon) -> None:
    def handle(exchange: Exchange) -> None:
        exchange.begin()
        exchange.chunk(b"boot \x1b[1mok\x1b[0m\r")
        exchange.chunk(b"\n\x1b]0;own\x07ed \x9b2J\n")
        exchange.end()

    daemon.on("GET", "/v1/vms/box/logs", handle)
    assert world.run("vm", "logs", "box").stdout == b"boot ok\ned \\x9b2J\n"
    document = json.loads(world.run("vm", "logs", "box", "--json").stdout)
    assert document == {"vm": "box", "console": "boot ok\ned \\x9b2J\n"}


@pytest.mark.parametrize(("verb", "done"), [("start", "started"), ("stop", "stopped"), ("delete", "deleted")])
def test_several_targets(world: World, daemon: FakeDaemon, verb: str, done: str) -> None:
    outcomes = [
        {"ref": "box", "vm": view_vm(), "error": None},
        {"ref": "nobody", "vm": None, "error": view_error("not_found", "there is no VM nobody", hint="look")},
        {"ref": "stuck", "vm": None, "error": view_error("timed_out", "it does not end")},
        {"ref": "0b5c", "vm": None, "error": None},
    ]
    stage = {"event": "stage", "stage": "x", "text": "working", "state": "begin"}
    daemon.reports(f"/v1/vms/{verb}", [stage, {"result": {"outcomes": outcomes}}])
    ran = world.run("vm", verb, "box", "nobody", "stuck", "0b5c")
    assert ran.returncode == OF_KIND["not_found"]
    assert ran.stdout.decode() == f"box {done}\n0b5c {done}\n"
    assert ran.stderr.decode() == (
        "working\n"
        "banger: there is no VM nobody (op-0123456789)\n  hint: look\n"
        f"banger: stuck: it does not end (op-0123456789)\n{LOG_HINT}"
    )
    assert daemon.requests[0].body == {"refs": ["box", "nobody", "stuck", "0b5c"]}
    ran = world.run("vm", verb, "box", "nobody", "--json", "-q")
    assert (ran.returncode, ran.stderr) == (OF_KIND["not_found"], b"")
    assert json.loads(ran.stdout) == {"outcomes": outcomes}


def test_images_and_kernels(world: World, daemon: FakeDaemon) -> None:
    kernel = {**IMAGE, "name": "debian-6.1", "release": "6.1.0-cloud-amd64"}
    del kernel["init"]
    daemon.answers("GET", "/v1/images", {"images": [IMAGE]})
    daemon.answers("GET", "/v1/kernels", {"kernels": [kernel]})
    assert world.run("image", "list").stdout.split()[7:11] == [b"debian-bookworm", b"400", b"MiB", b"x86_64"]
    assert b"6.1.0-cloud-amd64" in world.run("kernel", "list").stdout
    assert json.loads(world.run("image", "list", "--json").stdout) == {"images": [IMAGE]}
    assert json.loads(world.run("kernel", "list", "--json").stdout) == {"kernels": [kernel]}


def test_pull(world: World, daemon: FakeDaemon) -> None:
    stages = [
        {"event": "stage", "stage": "a", "text": "fetching packages", "state": "begin"},
        {"event": "stage", "stage": "a", "text": "fetching packages", "state": "progress", "done": 5, "unit": "files"},
        {"event": "stage", "stage": "a", "text": "fetching packages", "state": "end", "elapsed_s": 9.0},
        {"event": "notice", "text": "a mirror was slow"},
    ]
    daemon.reports("/v1/images/pull", [*stages, {"result": IMAGE}])
    done = world.run("image", "pull")
    assert done.stdout.decode() == "debian-bookworm abababababab 400 MiB\n"
    assert done.stderr.decode() == "fetching packages\nbanger: a mirror was slow\n"
    assert daemon.requests[0].body == {"image": "debian-bookworm", "name": None}
    assert json.loads(world.run("image", "pull", "--json").stdout) == IMAGE
    quiet = world.run("image", "pull", "-q")
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (0, b"", b"")


def test_an_error_in_the_middle_of_progress(world: World, daemon: FakeDaemon) -> None:
    begin = {"event": "stage", "stage": "a", "text": "fetching", "state": "begin"}
    daemon.reports("/v1/images/pull", [begin, {"error": view_error("failed", "the mirror is gone")}])
    done = world.run("image", "pull")
    assert done.returncode == 1
    assert done.stderr.decode() == f"fetching\nbanger: the mirror is gone (op-0123456789)\n{LOG_HINT}"


def test_progress_that_breaks_off(world: World, daemon: FakeDaemon) -> None:
    daemon.reports("/v1/images/pull", [{"event": "notice", "text": "x"}])
    done = world.run("image", "pull")
    assert done.returncode == OF_KIND["unavailable"]
    assert b"the connection to the daemon was lost" in done.stderr


def test_import_of_a_file_and_of_standard_input(world: World, daemon: FakeDaemon) -> None:
    content = os.urandom(3 << 20)
    seen: list[tuple[str, str]] = []

    def handle(exchange: Exchange) -> None:
        path = Path(exchange.body["path"])
        seen.append((exchange.body["path"], hashlib.sha256(path.read_bytes()).hexdigest()))
        exchange.begin()
        exchange.chunk(json.dumps({"result": IMAGE}).encode() + b"\n")
        exchange.end()

    daemon.on("POST", "/v1/images/import", handle)
    (world.cwd / "root fs.tar").write_bytes(content)
    assert world.run("image", "import", "root fs.tar", "--name", "tiny").returncode == 0
    assert world.run("image", "import", "-", "--name", "tiny", stdin=content).returncode == 0
    digest = hashlib.sha256(content).hexdigest()
    assert seen[0] == (str(world.cwd / "root fs.tar"), digest)
    assert seen[1][1] == digest
    assert daemon.requests[1].body["name"] == "tiny"
    assert list(world.layout.cache.iterdir()) == []


@pytest.mark.parametrize(("level", "status"), [("pass", 0), ("warn", 0), ("fail", 1)])
def test_doctor(world: World, daemon: FakeDaemon, level: str, status: int) -> None:
    check = {"id": "kvm", "title": "KVM", "level": level, "text": "as it is", "fix": "", "commands": []}
    daemon.reports("/v1/doctor", [{"result": {"checks": [check]}}])
    done = world.run("doctor")
    assert done.returncode == status
    assert done.stdout.decode().startswith(f"{level.upper()}  KVM  as it is\n")
    done = world.run("doctor", "--json")
    assert (done.returncode, json.loads(done.stdout)) == (status, {"checks": [check]})


def checks_with(level: str, *commands: list[str]) -> list[dict[str, Any]]:
    check = {"id": "x", "title": "X", "level": level, "text": "as it is", "fix": "", "commands": list(commands)}
    return [{"result": {"checks": [check, {**check, "id": "y"}]}}]


def test_the_doctor_mends_only_when_told_and_looks_again(world: World, daemon: FakeDaemon) -> None:
    """Nobody can be asked here; `-f` runs each command once, also after one that fails."""
    daemon.reports("/v1/doctor", checks_with("fail", ["sh", "-c", "echo mended; exit 3"], ["touch", "mended"]))
    assert world.run("doctor").returncode == 1
    asked = world.run("doctor", "--fix")
    assert (asked.returncode, b"nobody can be asked" in asked.stderr) == (2, True)
    assert list(world.cwd.iterdir()) == []
    done = world.run("doctor", "--fix", "-f", "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["ran"] == [["sh", "-c", "echo mended; exit 3"], ["touch", "mended"]]
    assert b"mended\nbanger: sh ended with status 3\n" in done.stderr
    assert (world.cwd / "mended").exists()
    assert sum(request.path == "/v1/doctor" for request in daemon.requests) == 4


def test_what_passes_is_not_mended(world: World, daemon: FakeDaemon) -> None:
    daemon.reports("/v1/doctor", checks_with("pass", ["touch", "mended"]))
    done = world.run("doctor", "--fix")
    assert (done.returncode, b"nothing that a command could fix" in done.stderr) == (0, True)
    assert list(world.cwd.iterdir()) == []


def test_a_command_that_is_not_there_is_told(world: World, daemon: FakeDaemon) -> None:
    daemon.reports("/v1/doctor", checks_with("warn", ["no-such-program"], ["banger", "version"]))
    done = world.run("doctor", "--fix", "-f")
    assert done.returncode == 0
    assert b"cannot run no-such-program" in done.stderr
    assert b"banger " in done.stderr


def test_a_reader_that_leaves_is_no_error(world: World, daemon: FakeDaemon) -> None:
    daemon.answers("GET", "/v1/vms", {"vms": [view_vm() for _ in range(2000)]})
    line = '"$@" vm list --json | head -n 1; echo "${PIPESTATUS[0]}"'
    argv = ["bash", "-c", line, "bash", *world.argv()]
    done = subprocess.run(
        argv, env=world.environment, cwd=world.cwd, capture_output=True, timeout=DEADLINE_S, check=True
    )
    assert done.stdout == b"{\n141\n"
    assert done.stderr == b""


def test_closed_standard_streams_do_no_harm(world: World, daemon: FakeDaemon) -> None:
    daemon.answers("GET", "/v1/vms", {"vms": [view_vm()]})
    argv = ["bash", "-c", '"$@" <&- >&- 2>&-', "bash", *world.argv("vm", "list")]
    done = subprocess.run(
        argv, env=world.environment, cwd=world.cwd, capture_output=True, timeout=DEADLINE_S, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_a_socket_that_is_too_deep_for_its_address_works(world: World, tmp_path: Path) -> None:
    home = tmp_path / ("d" * 100) / ("e" * 100)
    environment: dict[str, Any] = {"BANGER_HOME": str(home)}
    with FakeDaemon(home / "run" / "daemon.sock") as deep:
        deep.answers("GET", "/v1/vms", {"vms": []})
        assert world.run("vm", "list", environment=environment).returncode == 0


def test_observations_of_several(world: World, daemon: FakeDaemon) -> None:
    gone = {"ref": "gone", "name": None, "error": view_error("wrong_state", "it is not running", hint="start it")}
    port = {
        "protocol": "tcp",
        "address": "0.0.0.0",
        "port": 80,
        "pid": 7,
        "process": "a\x1bb",
        "url": "http://127.0.0.1/",
    }
    checks = [
        {"name": "ssh", "state": state, "elapsed_s": 0.5, "hint": "wait"} for state in ("pass", "fail", "starting")
    ]
    for what, seen in (
        ("ports", {"ports": [port]}),
        ("health", {"checks": checks[:2]}),
        ("health", {"checks": checks[::2]}),
    ):
        outcomes = [{"ref": "box", "name": "box", "error": None, **seen}, gone]
        daemon.answers("POST", f"/v1/vms/{what}", {"outcomes": outcomes})
        done = world.run("vm", what, "box", "gone")
        assert done.returncode == OF_KIND["wrong_state"]
        assert done.stderr == b"banger: gone: it is not running (op-0123456789)\n  hint: start it\n"
        assert json.loads(world.run("vm", what, "box", "gone", "--json").stdout) == {"outcomes": outcomes}
        daemon.answers("POST", f"/v1/vms/{what}", {"outcomes": outcomes[:1]})
        assert world.run("vm", what, "box").returncode == (1 if what == "health" else 0)
        assert daemon.requests[-1].body == {"refs": ["box"]}
    daemon.answers(
        "POST", "/v1/vms/ports", {"outcomes": [{"ref": "box", "name": "box", "error": None, "ports": [port]}]}
    )
    lines = world.run("vm", "ports", "box").stdout.decode().splitlines()
    assert lines[1].split() == ["box", "tcp", "0.0.0.0", "80", "a\\x1bb", "(7)", "http://127.0.0.1/"]


def test_stats_table(world: World, daemon: FakeDaemon) -> None:
    stats = {
        "state": "running", "cpu_s": 2.0, "rss_bytes": 300 << 20, "network_rss_bytes": 20 << 20, "disk_bytes": 8 << 30,
        "network_sent_bytes": 3 << 10, "network_received_bytes": 5 << 20, "disk_used_bytes": 1 << 20, "guest": None, "problem": "the guest does not answer",
    }  # fmt: skip
    daemon.answers("POST", "/v1/vms/stats", {"outcomes": [{"ref": "b", "name": "b", "error": None, "stats": stats}]})
    done = world.run("vm", "stats")
    assert done.returncode == 0
    assert done.stdout.decode().splitlines()[1:] == [
        "b     running  2.0 s  320 MiB  3 KiB  5 MiB  1 MiB of 8 GiB  -     -       -     -      -",
        "b: the guest does not answer",
    ]
    assert daemon.requests[0].body == {"refs": []}


def test_ping(world: World, daemon: FakeDaemon) -> None:
    answered = {"ref": "0b5c", "name": "box", "error": None, "round_trip_s": 0.0125}
    hung = {"ref": "hung", "name": "hung", "error": view_error("timed_out", "no answer")}
    daemon.answers("POST", "/v1/vms/ping", {"outcomes": [answered]})
    assert world.run("vm", "ping", "box", "-c", "2").stdout.decode() == (
        "box answered in 12.50 ms\nbox answered in 12.50 ms\n2 answers, min/mean/max 12.50 ms/12.50 ms/12.50 ms\n"
    )
    assert world.run("vm", "ping", "box", "-c", "0").returncode == 2
    assert json.loads(world.run("vm", "ping", "box", "-c", "1", "--json").stdout) == {
        "name": "box",
        "round_trips_s": [0.0125],
    }
    daemon.on(
        "POST",
        "/v1/vms/ping",
        lambda exchange: exchange.send_json(
            {"outcomes": [hung, answered] if "hung" in exchange.body["refs"] else [answered]}
        ),
    )
    done = world.run("vm", "ping", "hung", "0b5c", "-c", "2")
    assert done.returncode == OF_KIND["timed_out"]
    assert done.stderr.decode() == f"banger: hung: no answer (op-0123456789)\n{LOG_HINT}"
    assert done.stdout.decode() == (
        "box answered in 12.50 ms\nbox answered in 12.50 ms\nbox: 2 answers, min/mean/max 12.50 ms/12.50 ms/12.50 ms\n"
    )
    assert [request.body["refs"] for request in daemon.requests[-2:]] == [["hung", "0b5c"], ["0b5c"]]
    done = world.run("vm", "ping", "hung", "0b5c", "-c", "2", "--json")
    assert (done.returncode, done.stderr) == (OF_KIND["timed_out"], b"")
    assert json.loads(done.stdout) == [
        {"ref": "hung", "error": hung["error"]},
        {"name": "box", "round_trips_s": [0.0125, 0.0125]},
    ]
    daemon.answers("POST", "/v1/vms/ping", {"outcomes": [hung]})
    assert json.loads(world.run("vm", "ping", "hung", "--json").stdout) == {"error": hung["error"]}
