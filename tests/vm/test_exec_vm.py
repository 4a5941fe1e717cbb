"""Commands, jobs and tools in a real guest: its shell, its setsid, its users, and a machine that is stopped meanwhile."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.world import World, commit_all

pytestmark = [pytest.mark.vm, pytest.mark.timeout(600)]

MISE = """#!/bin/sh
verb=$1
shift
case $verb in
    install) cat mise.toml > /var/tmp/installed ;;
    exec) shift; TOOLS=$(cat /var/tmp/installed); export TOOLS; exec "$@" ;;
esac
"""


def test_jobs_and_tools(world: World, repository: Path, tmp_path: Path) -> None:
    (repository / "mise.toml").write_text("[tools]\n")
    commit_all(repository, "tools")
    refused = world.banger("vm", "run", "-d", ".", cwd=repository)
    assert (refused.returncode, b"--nat" in refused.stderr) == (2, True)
    world.succeed("vm", "run", "-d", "--name", "box", "--no-bootstrap", ".", cwd=repository)
    (tmp_path / "mise").write_text(MISE)
    (tmp_path / "mise").chmod(0o755)
    world.succeed("vm", "cp", str(tmp_path / "mise"), "box:/usr/local/bin/mise")
    world.succeed("vm", "exec", "box", "--cwd", "/", "--", "sh", "-c", "echo these > /var/tmp/installed")
    assert world.succeed("vm", "exec", "box", "--", "sh", "-c", "echo $TOOLS; pwd") == b"these\n/root/sample-repo\n"
    assert world.banger("vm", "exec", "box", "--", "no-such-program").returncode == 127
    assert world.banger("vm", "exec", "box", "--timeout", "1s", "--", "sleep", "100").returncode == 124

    def jobs() -> list[tuple[str, int | None]]:
        return [(job["state"], job["status"]) for job in world.json("vm", "jobs", "list", "box")["jobs"]]

    world.succeed(
        "vm",
        "exec",
        "box",
        "-d",
        "--",
        "sh",
        "-c",
        "echo begun with $TOOLS; until [ -e /go ]; do sleep 1; done; exit 6",
    )
    world.succeed("vm", "exec", "box", "-d", "--user", "nobody", "--cwd", "/", "--", "sh", "-c", "id -un; sleep 3600")
    world.succeed("vm", "exec", "box", "-d", "--cwd", "/", "--", "sh", "-c", "seq 2500000; exec sleep 3600")
    world.succeed("daemon", "restart")
    assert jobs() == [("running", None)] * 3
    world.succeed("vm", "exec", "box", "--", "touch", "/go")
    assert world.banger("vm", "jobs", "wait", "box", "1").returncode == 6
    assert world.succeed("vm", "jobs", "logs", "box", "1") == b"begun with these\n"
    world.succeed("vm", "jobs", "kill", "box", "2")
    assert world.banger("vm", "jobs", "wait", "box", "2").returncode == 143
    assert world.succeed("vm", "jobs", "logs", "box", "2", "-f").startswith(b"nobody\n")

    said = sum(len(str(number)) + 1 for number in range(1, 2_500_001))
    kept = dropped = 0
    while kept + dropped < said:
        long_one = world.json("vm", "jobs", "list", "box")["jobs"][2]
        kept, dropped = long_one["log_bytes"], long_one["log_dropped_bytes"]
    assert kept < 16 << 20 < said == kept + dropped
    assert world.succeed("vm", "jobs", "logs", "box", "3", "-n", "1") == b"2500000\n"

    # A machine that is stopped ends its jobs, and keeps what is known of them.
    world.succeed("vm", "restart", "box")
    states = jobs()
    assert states[:2] == [("ended", 6), ("ended", 143)]
    assert states[2][0] in ("ended", "lost")
    assert json.loads(world.succeed("vm", "exec", "box", "-d", "--json", "--cwd", "/", "--", "true"))["job"] == 4

    # What was changed here meanwhile is brought over before a command.
    (repository / "README.md").write_text("changed on the host\n")
    commit_all(repository, "moved on")
    told = world.banger("vm", "exec", "box", "--", "true")
    assert b"--auto-prepare" in told.stderr
    assert world.succeed("vm", "exec", "box", "--auto-prepare", "--", "cat", "README.md") == b"changed on the host\n"

    # The default image has no mise: a line says so, and the machine is there.
    (repository / ".devcontainer.json").write_text(
        '{"postCreateCommand": "echo made > made", "containerEnv": {"A": "b"}, /**/}'
    )
    commit_all(repository, "container")
    done = world.banger("vm", "run", "--rm", "--nat", ".", "--", "sh", "-c", "cat made; echo $A; pwd", cwd=repository)
    assert (done.returncode, done.stdout) == (0, b"made\nb\n/workspaces/sample-repo\n"), (done, world.log_tail())
    assert b"debian-dev" in done.stderr
