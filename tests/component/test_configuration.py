"""The configuration file through the real command line and daemon."""

from __future__ import annotations

import json
import subprocess

from tests.component.fake_world import FakeWorld

RUN = ("vm", "run", "-d", "--no-workspace")


def test_flags_configuration_and_the_rest(fake_world: FakeWorld) -> None:
    fake_world.configure('[vm_defaults]\nvcpu = 3\nmemory = "256M"\nnat = true\n')
    fake_world.restart_daemon()
    fake_world.succeed(*RUN, "--name", "box", "--memory", "512M")
    vm = fake_world.json("vm", "show", "box")
    assert (vm["vcpu"], vm["memory_mib"], vm["disk_bytes"], vm["nat"]) == (3, 512, 1 << 30, True)
    assert vm["origins"] == {
        "image": "built-in",
        "kernel": "built-in",
        "vcpu": "config",
        "memory_mib": "flag",
        "disk_bytes": "built-in",
        "nat": "config",
    }
    assert b"3 (config)" in fake_world.succeed("vm", "show", "box")
    fake_world.succeed(*RUN, "--name", "closed", "--no-nat")
    assert not fake_world.json("vm", "show", "closed")["nat"]
    fake_world.configure("")
    fake_world.restart_daemon()
    assert fake_world.json("vm", "show", "box")["origins"]["vcpu"] == "config"


def test_a_daemon_does_not_start_with_a_bad_file(fake_world: FakeWorld) -> None:
    file = fake_world.configure("[vm_defaults]\nvcpus = 3\n")
    assert fake_world.daemon is not None
    fake_world.daemon.terminate()
    assert fake_world.daemon.wait(30) == 0
    reason = json.loads(fake_world.spawn_daemon())
    assert reason == {
        "kind": "invalid",
        "summary": f"{file}: there is no key 'vm_defaults.vcpus'",
        "hint": "did you mean `vcpu`?",
    }
    assert fake_world.daemon.wait(30) == 1
    fake_world.configure("")
    fake_world.start_daemon()


def test_the_command_line_says_why_no_daemon_starts(fake_world: FakeWorld) -> None:
    """With the real daemon, which ends at its configuration before it does anything else."""
    file = fake_world.configure('log_level = "loud"\n')
    assert fake_world.daemon is not None
    fake_world.daemon.terminate()
    assert fake_world.daemon.wait(30) == 0
    for words in (("vm", "list"), ("daemon", "restart")):
        done = fake_world.banger(*words)
        assert done.returncode == 2
        assert done.stderr.decode() == (
            f"banger: {file}: log_level: 'loud' is not a log level\n  hint: write one of debug, info, warning, error\n"
        )
    doctor = fake_world.banger("doctor")
    assert doctor.returncode == 1
    assert doctor.stdout.decode().splitlines()[:2] == [
        f"FAIL  configuration file  {file}: log_level: 'loud' is not a log level",
        "                          fix: write one of debug, info, warning, error",
    ]
    assert b"FAIL  daemon" in doctor.stdout
    file.unlink()
    fake_world.start_daemon()


def test_the_doctor_looks_at_the_file_again(fake_world: FakeWorld) -> None:
    def check() -> tuple[str, str, str]:
        done = fake_world.banger("doctor", "--json")
        (found,) = [each for each in json.loads(done.stdout)["checks"] if each["id"] == "configuration"]
        return found["level"], found["text"], found["fix"]

    assert check() == ("pass", "none, which is good", "")
    file = fake_world.configure("[vm_defaults]\nvcpu = 2\n")
    assert check() == ("pass", f"{file} has changed: `banger daemon restart` makes it count", "")
    fake_world.configure("[vm_defaults]\nvcpu = 0\n")
    assert check() == ("fail", f"{file}: vm_defaults.vcpu: 0 is not possible", "write a whole number from 1 to 256")
    fake_world.configure("[vm_defaults]\nvcpu = 2\n")
    fake_world.restart_daemon()
    assert check() == ("pass", str(file), "")


def test_an_ssh_key_of_the_users(fake_world: FakeWorld) -> None:
    key = fake_world.root / "keys" / "my.key"
    key.parent.mkdir()
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    file = fake_world.configure('ssh_key_path = "~/keys/my.key"\n')
    fake_world.restart_daemon()
    fake_world.succeed(*RUN, "--name", "box")
    initramfs = fake_world.run_directory / "vms" / fake_world.json("vm", "show", "box")["id"] / "initramfs"
    assert key.with_name("my.key.pub").read_bytes() in initramfs.read_bytes()
    assert fake_world.banger("config", "check").returncode == 0
    key.with_name("my.key.pub").unlink()
    done = fake_world.banger("config", "check")
    assert done.returncode == 2
    assert done.stderr.decode() == (
        f"banger: {file}: ssh_key_path: there is no file {key}.pub\n  hint: ssh-keygen -y -f {key} > {key}.pub\n"
    )


def test_time_to_live_and_what_is_said_against_it(fake_world: FakeWorld) -> None:
    fake_world.configure('[vm_defaults]\nttl = "2h"\n')
    fake_world.restart_daemon()
    fake_world.succeed(*RUN, "--name", "box")
    left_s = fake_world.json("vm", "show", "box")["ttl_left_s"]
    assert 0 < left_s <= 7200


def test_how_much_is_logged(fake_world: FakeWorld) -> None:
    fake_world.configure('log_level = "error"\n')
    fake_world.restart_daemon()
    log = fake_world.state / "daemon.log"
    before = log.stat().st_size
    fake_world.succeed(*RUN, "--name", "box")
    assert log.stat().st_size == before
    fake_world.environment["BANGER_LOG_LEVEL"] = "debug"
    fake_world.restart_daemon()
    fake_world.succeed(*RUN, "--name", "other")
    assert b" DEBUG " in log.read_bytes()[before:]


SYNC = """
[[file_sync]]
host = "~/.gitconfig"
guest = "~/.gitconfig"
[[file_sync]]
host = "~/absent"
guest = "~/absent"
[[file_sync]]
host = "~/nvim"
guest = "/root/.config/nvim"
"""


def test_files_of_the_users_at_each_start(fake_world: FakeWorld) -> None:
    """The fake guest's home is a directory of the test: `guest-home`."""
    home, guest = fake_world.root, fake_world.root / "guest-home"
    (home / ".gitconfig").write_text("one")
    (home / "nvim").mkdir()
    (home / "nvim" / "init.lua").write_text("lua")
    fake_world.configure(SYNC)
    fake_world.restart_daemon()
    done = fake_world.banger(*RUN, "--name", "box")
    assert (done.returncode, done.stdout) == (0, b"box\n")
    assert b"banger: file_sync: ~/absent is not there: it is not copied\n" in done.stderr
    assert (guest / ".gitconfig").read_text() == "one"
    assert (guest / ".gitconfig").stat().st_mode & 0o777 == 0o600
    assert (guest / ".config" / "nvim" / "init.lua").read_text() == "lua"
    (home / ".gitconfig").write_text("two")
    fake_world.succeed("vm", "stop", "box")
    assert (guest / ".gitconfig").read_text() == "one"
    fake_world.succeed("vm", "start", "box")
    assert (guest / ".gitconfig").read_text() == "two"


def test_files_that_cannot_be_copied_end_the_start(fake_world: FakeWorld) -> None:
    fake_world.configure(SYNC)
    fake_world.restart_daemon()
    fake_world.succeed(*RUN, "--name", "box")
    fake_world.succeed("vm", "stop", "box")
    with (fake_world.root / ".gitconfig").open("wb") as file:
        file.truncate(65 << 20)
    done = fake_world.banger("vm", "start", "box")
    assert done.returncode == 2
    assert b"file_sync: with ~/.gitconfig it is more than 64 MiB in all" in done.stderr
    assert fake_world.vms()[0]["state"] == "stopped"
    (fake_world.root / ".gitconfig").write_text("small")
    (fake_world.root / "guest-home" / ".gitconfig").mkdir(parents=True)
    done = fake_world.banger("vm", "start", "box")
    assert done.returncode not in (0, 2)
    assert b"file_sync: files cannot be copied to " in done.stderr
    assert fake_world.vms()[0]["state"] == "stopped"
    (fake_world.root / "guest-home" / ".gitconfig").rmdir()
    fake_world.succeed("vm", "start", "box")
