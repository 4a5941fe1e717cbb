"""`health`, `ping` and `stats` with a real daemon and the real agent; `ports` would ask this host's servers."""

from __future__ import annotations

import json
import os
import signal

from tests.component.fake_world import FakeWorld

RUN = ("vm", "run", "-d", "--no-workspace")


def test_health_of_several(fake_world: FakeWorld) -> None:
    fake_world.succeed(*RUN, "--name", "a", "--nat")
    fake_world.succeed(*RUN, "--name", "b")
    done = fake_world.banger("vm", "health", "b", "a", "--json")
    assert done.returncode == 0, done
    outcomes = json.loads(done.stdout)["outcomes"]
    assert [outcome["name"] for outcome in outcomes] == ["b", "a"]
    states = [{check["name"]: check["state"] for check in outcome["checks"]} for outcome in outcomes]
    common = {"kernel": "pass", "agent": "pass", "disks": "pass", "ssh": "skipped"}
    assert states == [{**common, "network": "skipped"}, {**common, "network": "pass"}]
    fake_world.succeed("vm", "stop", "a")
    done = fake_world.banger("vm", "health", "a", "nobody", "b")
    assert done.returncode == 5
    assert b"kernel" in done.stdout
    assert b"a is not running" in done.stderr
    assert b"nobody" in done.stderr


def test_several_are_shown_and_pinged(fake_world: FakeWorld) -> None:
    fake_world.succeed(*RUN, "--name", "a")
    fake_world.succeed("vm", "create", "--no-start", "b")
    identity = fake_world.json("vm", "show", "a")["id"]
    done = fake_world.banger("vm", "show", "b", "nobody", identity[:13], "a", "--json")
    first, second, third = json.loads(done.stdout)  # two words for one VM are one
    assert (done.returncode, done.stderr) == (3, b"")
    assert (first["name"], second["error"]["kind"], third["id"]) == ("b", "not_found", identity)
    assert [one["name"] for one in fake_world.json("vm", "show", "a", "a")] == ["a"]
    done = fake_world.banger("vm", "ping", "b", "a", "-c", "2")
    assert done.returncode == 5
    assert [line.split()[0] for line in done.stdout.splitlines()] == [b"a", b"a", b"a:"]
    assert b"b is not running" in done.stderr


def test_pings_are_answered(fake_world: FakeWorld) -> None:
    fake_world.succeed(*RUN, "--name", "box")
    answered = fake_world.json("vm", "ping", "box", "-c", "5")
    assert (answered["name"], len(answered["round_trips_s"])) == ("box", 5)
    assert all(seconds > 0 for seconds in answered["round_trips_s"])
    assert fake_world.succeed("vm", "ping", "box").count(b"\n") == 4
    fake_world.succeed("vm", "stop", "box")
    assert fake_world.banger("vm", "ping", "box").returncode == 5


def test_stats_of_what_runs_and_what_does_not(fake_world: FakeWorld) -> None:
    assert fake_world.json("vm", "stats") == {"outcomes": []}
    fake_world.succeed(*RUN, "--name", "a", "--nat")
    fake_world.succeed(*RUN, "--name", "b")
    fake_world.succeed("vm", "stop", "b")
    first, second = (outcome["stats"] for outcome in fake_world.json("vm", "stats")["outcomes"])
    assert (first["state"], second["state"]) == ("running", "stopped")
    assert first["rss_bytes"] > 1 << 20
    assert first["network_rss_bytes"] > 1 << 20
    assert (first["network_sent_bytes"], first["network_received_bytes"]) == (1000, 2000)
    assert first["guest"]["processes"] > 0
    assert first["guest"]["memory_total_bytes"] > 0
    assert (second["rss_bytes"], second["guest"], second["problem"]) == (None, None, "")
    assert (second["network_sent_bytes"], second["network_received_bytes"]) == (None, None)
    assert second["disk_used_bytes"] > 0
    assert fake_world.succeed("vm", "stats").splitlines()[1].startswith(b"a ")


def test_a_guest_that_hangs_is_a_problem_and_not_an_error(fake_world: FakeWorld) -> None:
    fake_world.succeed(*RUN, "--name", "box")
    agent = next(pid for pid, command in fake_world.processes() if b"--serve-fd" in command)
    os.kill(agent, signal.SIGSTOP)
    try:
        (seen,) = fake_world.json("vm", "stats", "box")["outcomes"]
        assert seen["stats"]["guest"] is None
        assert "guest" in seen["stats"]["problem"]
        done = fake_world.banger("vm", "health", "box", "--json")
        assert done.returncode == 1
        checks = json.loads(done.stdout)["outcomes"][0]["checks"]
        assert [check["state"] for check in checks] == ["skipped", "fail", "skipped", "skipped", "skipped"]
        assert checks[1]["hint"]
    finally:
        os.kill(agent, signal.SIGCONT)
