"""The session of the README, with real machines."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pexpect
import pytest
from tests.world import World, commit_all, git

pytestmark = [pytest.mark.vm, pytest.mark.timeout(600)]


def test_one_command_with_its_status_and_nothing_left(world: World, repository: Path) -> None:
    done = world.banger(
        "vm", "run", "--rm", "--name", "x", ".", "--", "sh", "-c",
        "uname -r; git log --format=%s; git status --short --branch; cat run.sh; echo oops >&2; exit 42",
        cwd=repository,
    )  # fmt: skip
    assert done.returncode == 42, (done.stderr, world.log_tail())
    lines = done.stdout.decode().splitlines()
    assert lines[0].startswith("6.1")
    assert lines[1:4] == ["second", "first", "## trunk"]
    assert lines[4:] == ["#!/bin/sh", "echo ran"]
    assert b"oops\n" in done.stderr
    assert b"software emulation" in done.stderr or os.access("/dev/kvm", os.W_OK)
    world.check_nothing_left()


def test_a_detached_machine_its_commands_and_its_patch(world: World, repository: Path) -> None:
    (repository / "README.md").write_text("hello\nagain\nand changed on the host\n")
    (repository / "secret.txt").write_text("untracked\n")
    (repository / "ignored").mkdir()
    (repository / "ignored" / "x").write_text("ignored\n")
    done = world.banger("vm", "run", "-d", "--name", "box", ".", cwd=repository)
    assert done.returncode == 0, done.stderr
    assert done.stdout == b"box\n"
    assert b"1 untracked file" in done.stderr
    (vm,) = world.vms()
    assert (vm["name"], vm["state"]) == ("box", "running")
    assert vm["workspaces"][0]["guest_path"] == "/root/sample-repo"

    # What went in is what is tracked, as it is.
    assert world.succeed("vm", "exec", "box", "--", "pwd") == b"/root/sample-repo\n"
    listed = world.succeed("vm", "exec", "box", "--", "git", "ls-files", "-z")
    assert listed == git(repository, "ls-files", "-z")
    assert world.succeed("vm", "exec", "box", "--", "git", "status", "--porcelain") == b" M README.md\n"
    assert world.succeed("vm", "exec", "box", "--", "cat", "link") == (repository / "sub/data.bin").read_bytes()
    assert world.succeed("vm", "exec", "box", "--", "./run.sh") == b"ran\n"
    assert world.banger("vm", "exec", "box", "--", "ls", "secret.txt", "ignored").returncode == 2
    assert world.succeed("vm", "exec", "box", "--", "git", "fsck", "--no-dangling") == b""

    # Input, output, status.
    data = os.urandom(300_000)
    assert world.succeed("vm", "exec", "box", "--", "cat", stdin=data) == data
    assert world.banger("vm", "exec", "box", "--", "sh", "-c", "kill -9 $$").returncode == 128 + signal.SIGKILL
    missing = world.banger("vm", "exec", "box", "--", "no-such-program")
    assert missing.returncode != 0
    assert b"no-such-program" in missing.stderr

    # Edits of every kind come back as one patch that gives the host the guest's tree.
    world.succeed(
        "vm", "exec", "box", "--", "sh", "-ec",
        """
        echo guest >> README.md
        head -c 3000 /dev/urandom > sub/new.bin
        git rm -q run.sh
        git -c user.name=g -c user.email=g@g commit -qam 'in the guest'
        ln -s README.md readme
        chmod +x sub/data.bin
        echo log > x.log
        printf 'no end' > 'sub/with space'
        git add 'sub/with space'
        """,
    )  # fmt: skip
    before = world.succeed("vm", "exec", "box", "--", "git", "status", "--porcelain")
    patch = world.succeed("vm", "workspace", "export", "box")
    assert world.succeed("vm", "exec", "box", "--", "git", "status", "--porcelain") == before
    git(repository, "apply", "--check", "-", stdin=patch)
    git(repository, "apply", "-", stdin=patch)
    assert not (repository / "run.sh").exists()
    assert not (repository / "x.log").exists()
    assert (repository / "readme").readlink() == Path("README.md")
    assert os.access(repository / "sub/data.bin", os.X_OK)
    for name in ("README.md", "sub/new.bin", "sub/with space"):
        assert (repository / name).read_bytes() == world.succeed("vm", "exec", "box", "--", "cat", name)

    # Files go both ways; also over a directory of the image, which an overlay does not rename.
    (repository / "apt").mkdir()
    (repository / "apt" / "only").write_bytes(data)
    assert world.banger("vm", "cp", "apt", "box:/etc", cwd=repository).returncode == 4
    world.succeed("vm", "cp", "--force", "apt", "box:/etc", cwd=repository)
    found = world.succeed(
        "vm", "exec", "box", "--", "find", "/etc", "-path", "*apt.*partial*", "-o", "-path", "/etc/apt*"
    )
    assert found == b"/etc/apt\n/etc/apt/only\n"
    world.succeed("vm", "cp", "box:/etc/apt", "back", cwd=repository)
    assert (repository / "back" / "only").read_bytes() == data

    # A port of the guest, without a network.
    forwarding = world.start("vm", "forward", "box", "--json", "0:22")
    assert forwarding.stdout is not None
    with socket.create_connection(("127.0.0.1", json.loads(forwarding.stdout.readline())["host_port"])) as connection:
        assert connection.recv(4) == b"SSH-"
    forwarding.send_signal(signal.SIGINT)
    forwarding.communicate(timeout=60)
    assert forwarding.returncode == 130

    # The console to its end.
    following = world.start("vm", "logs", "box", "--follow")

    # Stop keeps the disk, start brings it back, delete takes it away.
    world.succeed("vm", "exec", "box", "--", "sh", "-c", "echo kept > /root/kept")
    boot = world.succeed("vm", "exec", "box", "--", "cat", "/proc/sys/kernel/random/boot_id")
    world.succeed("vm", "stop", "box")
    assert world.vms()[0]["state"] == "stopped"
    followed, _ = following.communicate(timeout=60)
    assert following.returncode == 0
    assert followed == world.succeed("vm", "logs", "box")
    refused = world.banger("vm", "exec", "box", "--", "true")
    assert refused.returncode == 5
    assert b"banger vm start box" in refused.stderr
    started = world.banger("vm", "start", "box", "--wait", "ssh", "-v")
    assert started.returncode == 0, (started.stderr, world.log_tail())
    assert b"box: ssh: " in started.stderr
    assert b"kernel " in started.stderr
    check_observations(world)
    assert world.succeed("vm", "exec", "box", "--", "cat", "/root/kept") == b"kept\n"
    assert world.succeed("vm", "exec", "box", "--", "cat", "/proc/sys/kernel/random/boot_id") != boot
    detail = world.json("vm", "show", "box")
    assert detail["workspaces"][0]["source"] == str(repository)
    assert b"Linux" in world.succeed("vm", "logs", "box") or world.succeed("vm", "logs", "box") is not None
    world.succeed("vm", "delete", "box")
    world.check_nothing_left()


def check_observations(world: World) -> None:
    """What is told about `box`, whose ssh server listens."""
    timings_s = world.json("vm", "show", "box")["timings_s"]
    assert {"kernel", "disks", "agent", "ssh"} <= timings_s.keys()
    assert timings_s["kernel"] > 0
    (seen,) = world.json("vm", "health", "box")["outcomes"]
    states = {check["name"]: check["state"] for check in seen["checks"]}
    assert states == {"kernel": "pass", "agent": "pass", "disks": "pass", "network": "skipped", "ssh": "pass"}
    (seen,) = world.json("vm", "ports", "box")["outcomes"]
    assert ("tcp", 22, None) in [(port["protocol"], port["port"], port["url"]) for port in seen["ports"]]
    (seen,) = world.json("vm", "stats", "box")["outcomes"]
    assert seen["stats"]["guest"]["kernel"].startswith("6.1")
    assert seen["stats"]["rss_bytes"] > 64 << 20
    assert seen["stats"]["disk_used_bytes"] > 0
    assert len(world.json("vm", "ping", "box")["round_trips_s"]) == 3
    assert world.json("doctor", "--leaks") == {"leaks": []}
    levels = {check["id"]: check["level"] for check in world.json("doctor")["checks"]}
    assert "pass" in (levels["vmm_qemu_kvm"], levels["vmm_qemu_tcg"])
    assert levels["vmm_qemu_tcg"] == "pass", "a guest ran under software emulation, which works everywhere"
    kinds = {one["kind"] for one in world.json("system", "df")["shared"]}
    assert {"image", "kernel", "template"} <= kinds


def test_a_shell_and_the_systems_ssh(world: World, repository: Path) -> None:
    shell = pexpect.spawn(
        world.command[0], [*world.command[1:], "vm", "run", "--name", "sh1"], cwd=str(repository),
        env={**world.environment, "TERM": "xterm"}, timeout=120, dimensions=(31, 97),
    )  # fmt: skip
    shell.expect("# ")
    shell.sendline("stty size; pwd; echo $((40+2))")
    shell.expect("31 97")
    shell.expect("/root/sample-repo")
    shell.expect("42")
    shell.sendline("exit 7")
    shell.expect(pexpect.EOF)
    shell.close()
    assert shell.exitstatus == 7, shell.before
    assert b"sh1" in shell.before

    assert world.succeed("vm", "ssh", "sh1", "--", "sh", "-c", "hostname; echo $SSH_AUTH_SOCK") == b"sh1\n\n"
    assert world.banger("vm", "ssh", "sh1", "--", "sh", "-c", "exit 9").returncode == 9
    config = world.root / "ssh-config"
    config.write_bytes(world.succeed("vm", "ssh", "--print-config", "sh1"))
    host = config.read_text().split()[1]
    (world.root / "up").write_text("copied\n")
    subprocess.run(
        ["scp", "-q", "-F", config, world.root / "up", f"{host}:/root/up"],
        env=world.environment,
        check=True,
        timeout=120,
    )
    assert world.succeed("vm", "exec", "sh1", "--", "cat", "/root/up") == b"copied\n"

    config.write_bytes(world.succeed("ssh-config"))
    command = ["ssh", "-F", str(config), "sh1.vm", "cat up; exit 4"]
    done = subprocess.run(command, env=world.environment, capture_output=True, timeout=120, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (4, b"copied\n", b"")


def test_five_machines_at_once(world: World) -> None:
    names = [f"m{number}" for number in range(5)]
    with ThreadPoolExecutor(5) as pool:
        for done in pool.map(
            lambda name: world.banger("vm", "run", "-d", "--memory", "384M", "--vcpu", "1", "--name", name), names
        ):
            assert done.returncode == 0, (done.stderr, world.log_tail())
        for _ in range(3):
            outputs = list(pool.map(lambda name: world.succeed("vm", "exec", name, "--", "hostname"), names))
            assert outputs == [f"{name}\n".encode() for name in names]
    taken = world.banger("vm", "run", "-d", "--name", "m0")
    assert taken.returncode == 2
    assert b"m0" in taken.stderr
    world.succeed("vm", "delete", *names)
    world.check_nothing_left()


def test_what_is_in_tmp_outlives_the_end_of_booting(world: World) -> None:
    script = "touch /tmp/early; until systemctl is-active -q multi-user.target 2>&-; do sleep 0.2; done; ls /tmp"
    assert b"early" in world.succeed("vm", "run", "--rm", "--", "sh", "-c", script).split()


def test_no_network_without_nat(world: World) -> None:
    output = world.succeed("vm", "run", "--rm", "--", "sh", "-c", "ls /sys/class/net; ip route")
    assert output == b"lo\n"


def test_an_image_without_init_sshd_or_git(world: World, tmp_path: Path, repository: Path) -> None:
    root = tmp_path / "rootfs"
    for directory in ("bin", "conf", "usr"):
        (root / directory).mkdir(parents=True)
    (root / "etc").symlink_to("conf")  # a seed that followed links would write where an image says
    busybox = next(path for path in (Path("/usr/bin/busybox"), Path("/bin/busybox")) if path.exists())
    (root / "bin/busybox").write_bytes(busybox.read_bytes())
    (root / "bin/busybox").chmod(0o755)
    for applet in ("sh", "ls", "cat", "uname", "id", "init"):
        (root / "bin" / applet).symlink_to("busybox")
    (root / "conf/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    archive = tmp_path / "busybox.tar"
    subprocess.run(["tar", "-C", root, "--owner=0", "--group=0", "-cf", archive, "."], check=True)
    cache = tmp_path / "images"
    own = World(tmp_path / "b", cache=cache)
    own.root.mkdir()
    # The kernel of the prepared cache, an image store of its own.
    (cache / "banger").mkdir(parents=True, mode=0o700)
    (cache / "banger" / "kernels").symlink_to(Path(world.environment["XDG_CACHE_HOME"]) / "banger" / "kernels")
    try:
        own.succeed("image", "import", str(archive), "--name", "busybox")
        done = own.banger(
            "vm",
            "run",
            "--rm",
            "--image",
            "busybox",
            ".",
            "--",
            "sh",
            "-c",
            "cat run.sh; ls -a /etc/ssh /root/.ssh; cat /etc/hostname; echo $HOME $USER; exit 5",
            cwd=repository,
        )
        assert done.returncode == 5, (done.stderr, own.log_tail())
        assert done.stdout.startswith(b"#!/bin/sh\necho ran\n")
        assert b"authorized_keys" in done.stdout
        assert done.stdout.endswith(b"\n/root root\n")
        assert b"/etc/ssh: No such file" in done.stderr
        own.succeed("vm", "run", "-d", "--name", "bb", "--image", "busybox", cwd=repository)
        assert b"seed: etc is left out" in own.succeed("vm", "logs", "bb")
        export = own.banger("vm", "workspace", "export", "bb")
        assert export.returncode == 7
        assert b"git" in export.stderr
        own.succeed("vm", "stop", "bb")
        own.succeed("vm", "delete", "bb")
        own.check_nothing_left()
    finally:
        own.end()


@pytest.mark.parametrize("wait_s", [0.3, 1.5, 3.5])
def test_control_c_leaves_nothing(world: World, repository: Path, wait_s: float) -> None:
    process = world.start("vm", "run", "--rm", ".", "--", "sleep", "600", cwd=repository)
    time.sleep(wait_s)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert process.returncode in (130, 128 + signal.SIGINT), errors
    assert world.vms() == []
    world.check_nothing_left()


def test_killing_the_command_leaves_nothing(world: World, repository: Path) -> None:
    process = world.start("vm", "run", "--rm", ".", "--", "sleep", "600", cwd=repository)
    time.sleep(4)
    process.kill()
    process.communicate()
    deadline = time.monotonic() + 60
    while world.vms() and time.monotonic() < deadline:
        time.sleep(0.2)
    world.check_nothing_left()


def test_killing_the_daemon_keeps_machines_and_removes_what_nobody_owns(world: World, repository: Path) -> None:
    world.succeed("vm", "run", "-d", "--name", "stays", ".", cwd=repository)
    boot = world.succeed("vm", "exec", "stays", "--", "cat", "/proc/sys/kernel/random/boot_id")
    process = world.start("vm", "run", "--rm", "--name", "goes", ".", "--", "sleep", "600", cwd=repository)
    deadline = time.monotonic() + 60
    while len(world.vms()) < 2 or world.vms()[0]["state"] != "running":
        assert time.monotonic() < deadline
    daemon = world.daemon_pid()
    assert daemon is not None
    os.kill(daemon, signal.SIGKILL)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 8, errors
    assert b"lost" in errors
    assert [vm["name"] for vm in world.vms()] == ["stays"]
    assert world.succeed("vm", "exec", "stays", "--", "cat", "/proc/sys/kernel/random/boot_id") == boot
    world.succeed("vm", "delete", "stays")
    world.check_nothing_left()


def test_a_machine_that_switches_itself_off_is_stopped(world: World) -> None:
    world.succeed("vm", "run", "-d", "--name", "off")
    world.banger("vm", "exec", "off", "--", "systemctl", "poweroff", "--force", "--force")
    deadline = time.monotonic() + 60
    while world.vms()[0]["state"] != "stopped":
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_paths_longer_than_a_socket_address(tmp_path: Path, prepared_cache: Path) -> None:
    root = tmp_path / ("deep" * 30)
    root.mkdir()
    world = World(root, cache=prepared_cache)
    assert len(str(world.run_directory / "daemon.sock")) > 107
    assert world.succeed("vm", "run", "--rm", "--", "echo", "hi") == b"hi\n"
    world.check_nothing_left()
    world.end()


def test_commits_made_meanwhile_do_not_matter(world: World, repository: Path) -> None:
    world.succeed("vm", "run", "-d", "--name", "box", ".", cwd=repository)
    (repository / "other.txt").write_text("host\n")
    commit_all(repository, "meanwhile")
    world.succeed("vm", "exec", "box", "--", "sh", "-c", "echo new > new.txt")
    patch = world.succeed("vm", "workspace", "export", "box")
    git(repository, "apply", "-", stdin=patch)
    assert (repository / "new.txt").read_text() == "new\n"
