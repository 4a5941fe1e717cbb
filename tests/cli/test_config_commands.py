"""`banger config`: without a daemon, and without starting one."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from tests.cli.world import World
from tests.fakes.daemon import FakeDaemon


def configure(world: World, text: str) -> Path:
    file = world.layout.config_file
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def settings(world: World) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(world.run("config", "show", "--json").stdout)["settings"]
    return found


def test_show_of_nothing(world: World) -> None:
    shown = settings(world)
    assert {key: setting["origin"] for key, setting in shown.items()} == {
        "log_level": "built-in",
        "ssh_key_path": "built-in",
        "default_image": "built-in",
        "default_kernel": "built-in",
        "auto_stop_stale_after": "built-in",
        "vm_defaults.vcpu": "host",
        "vm_defaults.memory": "host",
        "vm_defaults.disk": "built-in",
        "vm_defaults.nat": "built-in",
        "vm_defaults.ttl": "built-in",
        "file_sync": "built-in",
        "registries": "built-in",
        "catalogues": "built-in",
    }
    assert shown["vm_defaults.vcpu"]["value"] == max(1, min(4, len(os.sched_getaffinity(0))))
    done = world.run("config", "show")
    assert done.returncode == 0
    assert done.stderr.decode() == f"There is no file {world.layout.config_file}; nothing needs one.\n"
    assert not world.layout.config.exists()


def test_show_of_everything(world: World) -> None:
    key = world.layout.config.parent / "key"
    key.parent.mkdir(parents=True)
    for name in ("key", "key.pub"):
        key.with_name(name).write_text("")
    configure(
        world,
        f"""
log_level = "warning"
ssh_key_path = "{key}"
default_image = "tiny"
default_kernel = "mine"
auto_stop_stale_after = "90m"
[vm_defaults]
vcpu = 3
memory = 1536
disk = "20G"
nat = true
ttl = "2d"
[[file_sync]]
host = "~/.gitconfig"
guest = "~/.gitconfig"
[[file_sync]]
host = "~/.config/nvim"
guest = "~/.config/nvim"
mode = "644"
[registries."docker.io"]
mirrors = ["mirror.example.com/hub"]
[registries."localhost:5000"]
plain_http = true
[[catalogues]]
path = "~/team.json"
key = "ed25519:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="
""",
    )
    done = world.run("config", "show")
    assert (done.returncode, done.stderr) == (0, b"")
    assert [re.split(r" {2,}", line) for line in done.stdout.decode().splitlines()] == [
        ["KEY", "VALUE", "FROM"],
        ["log_level", "warning", "config"],
        ["ssh_key_path", str(key), "config"],
        ["default_image", "tiny", "config"],
        ["default_kernel", "mine", "config"],
        ["auto_stop_stale_after", "1h30m", "config"],
        ["vm_defaults.vcpu", "3", "config"],
        ["vm_defaults.memory", "1.5 GiB", "config"],
        ["vm_defaults.disk", "20 GiB", "config"],
        ["vm_defaults.nat", "yes", "config"],
        ["vm_defaults.ttl", "2d", "config"],
        ["file_sync", "~/.gitconfig to /root/.gitconfig", "config"],
        ["file_sync", "~/.config/nvim to /root/.config/nvim (0644)", "config"],
        ["registries", "docker.io: mirrors mirror.example.com/hub", "config"],
        ["registries", "localhost:5000: plain HTTP", "config"],
        ["catalogues", f"{Path(world.environment['HOME'])}/team.json", "config"],
    ]
    assert settings(world)["file_sync"]["value"][1] == {
        "host": "~/.config/nvim",
        "guest": "/root/.config/nvim",
        "mode": "0644",
    }


def test_the_environment_wins_over_the_file(world: World) -> None:
    configure(world, 'log_level = "warning"\n')
    done = world.run("config", "show", "--json", environment={"BANGER_LOG_LEVEL": "DEBUG"})
    assert json.loads(done.stdout)["settings"]["log_level"] == {"value": "debug", "origin": "environment"}
    done = world.run("config", "show", environment={"BANGER_LOG_LEVEL": "loud"})
    assert done.returncode == 2
    assert done.stderr.startswith(b"banger: BANGER_LOG_LEVEL: 'loud' is not a log level\n")


def test_a_daemon_that_is_older_than_the_file_is_told_about(world: World, daemon: FakeDaemon) -> None:
    file = configure(world, "")
    ping = {"version": "1", "api_version": 1, "pid": 1, "vms_running": 0}
    daemon.answers("GET", "/v1/ping", {**ping, "started_at_s": file.stat().st_mtime + 1})
    assert world.run("config", "show").stderr == b""
    daemon.answers("GET", "/v1/ping", {**ping, "started_at_s": file.stat().st_mtime - 1})
    assert b"banger daemon restart" in world.run("config", "show").stderr


def test_path(world: World) -> None:
    file = world.layout.config_file
    assert world.run("config", "path").stdout.decode() == f"{file}\n"
    assert json.loads(world.run("config", "path", "--json").stdout) == {"file": str(file), "exists": False}


def test_check(world: World) -> None:
    file = world.layout.config_file
    done = world.run("config", "check")
    assert (done.returncode, done.stdout.decode()) == (0, f"{file} is missing, which is fine\n")
    configure(world, "[vm_defaults]\nvcpu = 1\n")
    done = world.run("config", "check")
    assert (done.returncode, done.stdout.decode()) == (0, f"{file} is valid\n")
    assert json.loads(world.run("config", "check", "--json").stdout) == {"file": str(file), "exists": True}
    (world.cwd / "draft.toml").write_text("[vm_defaults]\nvcp = 1\n")
    done = world.run("config", "check", "draft.toml")
    assert done.returncode == 2
    assert done.stderr == b"banger: draft.toml: there is no key 'vm_defaults.vcp'\n  hint: did you mean `vcpu`?\n"
    assert json.loads(world.run("config", "check", "draft.toml", "--json").stdout)["error"]["kind"] == "invalid"
    assert world.run("config", "check", "absent.toml").returncode == 3


@pytest.mark.parametrize("what", ["directory", "pipe", "dangling", "binary", "long", "key"])
def test_files_that_are_none(world: World, what: str) -> None:
    file = configure(world, "")
    file.unlink()
    if what == "directory":
        file.mkdir()
    elif what == "pipe":
        os.mkfifo(file)
    elif what == "dangling":
        file.symlink_to("nowhere")
    elif what == "binary":
        file.write_bytes(b"\xff\xfe")
    elif what == "long":
        file.write_bytes(b"#" * (2 << 20))
    else:
        file.write_text('ssh_key_path = "~/no/such/key"\n')
    done = world.run("config", "check")
    assert done.returncode == 2
    assert str(file) in done.stderr.decode()
    assert b"hint: " in done.stderr
    helped = world.run("vm", "run", "--help")
    assert helped.returncode == 0
    assert b"(default: unknown, see `banger config check`)" in helped.stdout


def test_a_link_to_a_file_elsewhere_is_followed(world: World) -> None:
    (world.cwd / "mine.toml").write_text("[vm_defaults]\nvcpu = 9\n")
    file = configure(world, "")
    file.unlink()
    file.symlink_to(world.cwd / "mine.toml")
    assert settings(world)["vm_defaults.vcpu"] == {"value": 9, "origin": "config"}
    assert b"virtual processors (default: 9, config)" in world.run("vm", "run", "--help").stdout
