"""`banger ssh-config`, as the real ssh understands it."""

from __future__ import annotations

import os
import shlex
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from tests.cli.world import World
from tests.fakes.daemon import FakeDaemon, view_error, view_vm

from banger.core.layout import layout_from_environment

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPk2nmyUTcKiWOn4NDcxvBGOdB4vPq9gBpCEJwrTsQmS"


@pytest.fixture
def answering(daemon: FakeDaemon) -> FakeDaemon:
    options = [
        "GlobalKnownHostsFile=none",
        "StrictHostKeyChecking=yes",
        'IdentityFile="/a b/100%%/key"',
        "LogLevel=ERROR",
    ]
    daemon.answers("GET", "/v1/ssh", {"user": "root", "options": options})
    plan = {"vm": view_vm(), "user": "root", "host_alias": "box.banger", "host_key": KEY, "options": options}
    daemon.answers("GET", "/v1/vms/box/ssh", plan)
    return daemon


def ssh_file(world: World) -> Path:
    return world.cwd.parent / ".ssh" / "config"


def understood(world: World, host: str, *, file: Path | None = None) -> dict[str, str]:
    """What ssh makes of its configuration for a host; nothing for a host that it refuses."""
    done = subprocess.run(
        ["ssh", "-F", str(file or ssh_file(world)), "-G", "--", host],
        env=dict(world.environment),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0 or "invalid characters" in done.stderr, done.stderr
    return dict(line.split(" ", 1) for line in done.stdout.splitlines() if " " in line)


def install(world: World, *words: str) -> None:
    done = world.run("ssh-config", "--install", *words)
    assert done.returncode == 0, done.stderr


def test_ssh_takes_our_words_for_vms_and_for_nobody_else(world: World, answering: FakeDaemon) -> None:
    ssh_file(world).parent.mkdir(mode=0o700)
    ssh_file(world).write_text("Host *\n  User me\n  ForwardAgent yes\n")
    install(world)
    shown = understood(world, "box.vm")
    assert shown["user"] == "root"
    assert shown["identityfile"] == "/a b/100%%/key"
    assert shown["stricthostkeychecking"] == "true"
    assert shlex.split(shown["knownhostscommand"])[-2:] == ["internal-known-hosts", "%H"]
    assert shown["proxycommand"].endswith("-P -m banger internal-connect '%h' %p")
    other = understood(world, "example.com")
    assert (other["user"], "proxycommand" in other, "knownhostscommand" in other) == ("me", False, False)
    assert understood(world, "box.vm.example.com")["user"] == "me"


@pytest.mark.parametrize("host", ["x'`touch canary`'.vm", "';touch canary;'.vm", "a\\.vm"])
def test_no_name_of_a_host_gets_out_of_its_quotation(world: World, answering: FakeDaemon, host: str) -> None:
    install(world)
    assert "proxycommand" not in understood(world, host)


def test_what_ssh_calls_finds_the_daemon_and_takes_no_module_from_here(world: World, answering: FakeDaemon) -> None:
    install(world)
    for module in ("banger", "json"):
        (world.cwd / module).mkdir()
        (world.cwd / module / "__init__.py").write_text("open('canary', 'w').close()\n")
    shown = understood(world, "box.vm")
    keys = [word.replace("%%", "%") for word in shlex.split(shown["knownhostscommand"])]
    for host, line in (("box.vm", f"box.vm {KEY}\n"), ("[box.vm]:2222", f"[box.vm]:2222 {KEY}\n")):
        done = subprocess.run([*keys[:-1], host], cwd=world.cwd, env={}, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (0, line), done.stderr
    answering.answers("POST", "/v1/vms/box/connect", {"error": view_error("wrong_state", "it rests")}, status=409)
    proxy = shown["proxycommand"].replace("%h", "box.vm").replace("%p", "22").replace("%%", "%")
    done = subprocess.run(proxy, shell=True, cwd=world.cwd, env={}, capture_output=True, text=True, check=False)
    assert (done.returncode, "it rests" in done.stderr) == (5, True), done.stderr
    assert not (world.cwd / "canary").exists()


def test_vm_ssh_takes_no_module_from_here_either(world: World, answering: FakeDaemon) -> None:
    (world.cwd / "banger").mkdir()
    (world.cwd / "banger" / "__init__.py").write_text("open('canary', 'w').close()\n")
    argv = [sys.executable, "-P", "-m", "banger", "vm", "ssh", "box", "--", "true"]
    done = subprocess.run(argv, cwd=world.cwd, env=dict(world.environment), capture_output=True, check=False)
    assert done.returncode == 255
    assert any(request.path.endswith("/connect") for request in answering.requests)
    assert not (world.cwd / "canary").exists()


@pytest.mark.parametrize(
    "before",
    [b"", b"Host a", b"Host a\n  User b\n", b"Host a\r\n  User b\r\n", b"# only words\n\n\n", b"Include other\n"],
)
def test_installed_twice_and_removed_nothing_of_the_users_has_changed(
    world: World, answering: FakeDaemon, before: bytes
) -> None:
    real = world.cwd.parent / "dotfiles" / "ssh"
    real.parent.mkdir()
    real.write_bytes(before)
    real.chmod(0o640)
    ssh_file(world).parent.mkdir()
    ssh_file(world).symlink_to(real)
    install(world)
    first = real.read_bytes()
    assert first.endswith(before)
    assert first.count(b"Include") == before.count(b"Include") + 1
    assert understood(world, "box.vm")["user"] == "root"
    again = world.run("ssh-config", "--install")
    assert again.stdout.startswith(b"already in ")
    assert real.read_bytes() == first
    assert world.run("ssh-config", "--uninstall").returncode == 0
    assert (real.read_bytes(), stat.S_IMODE(real.stat().st_mode), ssh_file(world).is_symlink()) == (before, 0o640, True)
    assert not (world.layout.config / "ssh_config").exists()
    assert world.run("ssh-config", "--uninstall").stdout.startswith(b"not in ")


def test_a_file_that_is_read_only_stays_as_it_is(world: World, answering: FakeDaemon) -> None:
    ssh_file(world).parent.mkdir()
    ssh_file(world).write_text("Host a\n")
    ssh_file(world).chmod(0o400)
    done = world.run("ssh-config", "--install")
    assert done.returncode == 6
    assert b"read-only" in done.stderr
    assert b"Include" in done.stderr
    assert ssh_file(world).read_text() == "Host a\n"


def test_printed_alone_it_serves_with_its_own_file(world: World, answering: FakeDaemon, tmp_path: Path) -> None:
    done = world.run("ssh-config")
    file = tmp_path / "vms.conf"
    file.write_bytes(done.stdout)
    assert understood(world, "box.vm", file=file)["user"] == "root"
    assert not ssh_file(world).exists()
    assert world.run("ssh-config", "--install", "--uninstall").returncode == 2


def test_who_has_another_home_is_told_where_ssh_looks(world: World, answering: FakeDaemon) -> None:
    assert os.path.expanduser("~") != str(world.cwd.parent)
    assert b"ssh itself looks in" in world.run("ssh-config", "--install").stderr


def test_the_real_ssh_calls_us_wherever_banger_is(world: World, tmp_path: Path) -> None:
    """A directory with all that shells and ssh give a meaning to; and a directory of modules where ssh is called."""
    odd = tmp_path / "o d %h $(touch canary) 'q' \"d\" \\ ;"
    environment = {**world.environment, "BANGER_HOME": str(odd)}
    (world.cwd / "banger").mkdir()
    (world.cwd / "banger" / "__init__.py").write_text("open('canary', 'w').close()\n")
    with FakeDaemon(layout_from_environment(environment, uid=os.getuid()).daemon_socket) as daemon:
        daemon.answers("GET", "/v1/ssh", {"user": "root", "options": ["StrictHostKeyChecking=yes"]})
        daemon.answers("POST", "/v1/vms/box/connect", {"error": view_error("wrong_state", "it rests")}, status=409)
        argv = [sys.executable, "-P", "-m", "banger", "ssh-config"]
        printed = subprocess.run(argv, cwd=world.cwd, env=environment, capture_output=True, check=True).stdout
        (tmp_path / "vms.conf").write_bytes(printed)
        shell = {"SHELL": "/bin/sh", "PATH": os.environ["PATH"]}
        done = subprocess.run(
            ["ssh", "-F", str(tmp_path / "vms.conf"), "box.vm", "true"],
            cwd=world.cwd,
            env=shell,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
    assert (done.returncode, b"it rests" in done.stderr) == (255, True), done.stderr
    assert [path.name for path in world.cwd.iterdir()] == ["banger"]
