"""Archives for the kernel: checked with cpio(1), which is not ours."""

from __future__ import annotations

import stat
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from banger.core.errors import BangerError, Invalid
from banger.guest.cpio import CpioEntry, directory, encode_archive, regular
from banger.guest.initramfs import build_base_initramfs
from banger.guest.process import ExecRequest, encode_entrypoint
from banger.guest.seed import Seed, SeedFile


def listing(archive: bytes) -> list[str]:
    done = subprocess.run(
        ["cpio", "-itv", "--quiet", "--numeric-uid-gid"], input=archive, capture_output=True, check=True
    )
    return done.stdout.decode().splitlines()


def content(archive: bytes, name: str) -> bytes:
    return subprocess.run(
        ["cpio", "-i", "--quiet", "--to-stdout", name], input=archive, capture_output=True, check=True
    ).stdout


def modes(archive: bytes) -> dict[str, str]:
    return {line.split()[-1]: line.split()[0] for line in listing(archive)}


def make_seed(**changes: object) -> Seed:
    fields: dict[str, object] = {
        "hostname": "box",
        "clock_ns": 5,
        "init": "/sbin/init",
        "root_fs": "erofs",
        "modules_disk": "modules",
        "channel": "virtio:banger.channel",
        "direct": ("/var/lib/docker",),
        "files": (
            SeedFile(path="/etc/ssh/ssh_host_ed25519_key", mode=0o600, content=b"secret"),
            SeedFile(path="/etc/ssh/ssh_host_ed25519_key.pub", mode=0o644, content=b"public"),
            SeedFile(path="/root/.ssh/authorized_keys", mode=0o600, content=b"key"),
        ),
    }
    return Seed(**{**fields, **changes})  # type: ignore[arg-type]  # brevity


def test_the_base_has_what_the_kernel_and_the_agent_need(tmp_path: Path) -> None:
    agent, first, second = tmp_path / "agent", tmp_path / "b.ko", tmp_path / "a.ko"
    for path, text in ((agent, b"program"), (first, b"first"), (second, b"second")):
        path.write_bytes(text)
    archive = build_base_initramfs(agent, [first, second])
    assert archive == build_base_initramfs(agent, [first, second])
    shown = modes(archive)
    assert shown["init"] == "-rwxr-xr-x"
    assert shown["dev/console"] == "crw-------"
    assert {name for name, mode in shown.items() if mode[0] == "d"} >= {"dev", "proc", "sys", "etc/banger", "modules"}
    places = content(archive, "etc/banger/modules").decode().split()
    assert [content(archive, place.lstrip("/")) for place in places] == [b"first", b"second"]


def test_a_program_for_the_machine_is_in_the_seed() -> None:
    program = encode_entrypoint(ExecRequest(argv=["serve", "a b"], cwd="/srv"), stop_signal=3)
    assert content(make_seed(entrypoint=program).archive(), "seed/entrypoint") == program
    assert "seed/entrypoint" not in modes(make_seed().archive())


@given(st.lists(st.binary(max_size=9), max_size=5))
def test_members_are_aligned_and_end_with_a_trailer(contents: list[bytes]) -> None:
    archive = encode_archive([regular(f"/{'n' * index}x", data) for index, data in enumerate(contents)])
    position = 0
    for data in [*contents, b""]:
        assert archive[position : position + 6] == b"070701"
        name_size = int(archive[position + 94 : position + 102], 16)
        body = position + (110 + name_size + 3) // 4 * 4
        assert archive[body : body + len(data)] == data
        position = body + (len(data) + 3) // 4 * 4
    assert position == len(archive)
    assert b"TRAILER!!!\0" in archive[-16:]


def test_device_nodes_and_directories() -> None:
    archive = encode_archive(
        [directory("/d", mode=0o700), CpioEntry(path="/d/c", mode=stat.S_IFCHR | 0o600, device=(5, 1))]
    )
    assert [line.split()[0] for line in listing(archive)] == ["drwx------", "crw-------"]
    assert "5,   1" in listing(archive)[1]


def test_the_seed_says_who_a_vm_is() -> None:
    archive = make_seed(address="10.0.2.15/24", gateway="10.0.2.2", dns="10.0.2.3").archive()
    assert content(archive, "seed/config").decode().splitlines() == [
        "hostname=box",
        "clock_ns=5",
        "init=/sbin/init",
        "root=image",
        "root_fs=erofs",
        "modules_disk=modules",
        "data=data",
        "direct=/var/lib/docker",
        "address=10.0.2.15/24",
        "gateway=10.0.2.2",
        "dns=10.0.2.3",
        "channel=virtio:banger.channel",
    ]
    shown = modes(archive)
    assert shown["seed"] == "drwx------"
    assert shown["seed/files/etc/ssh/ssh_host_ed25519_key"] == "-rw-------"
    assert shown["seed/files/root/.ssh"] == "drwx------"
    assert content(archive, "seed/files/etc/ssh/ssh_host_ed25519_key") == b"secret"


def test_an_image_without_init_and_without_network() -> None:
    config = content(make_seed(init=None, modules_disk=None).archive(), "seed/config").decode()
    assert "init=none\n" in config
    assert "address" not in config
    assert "modules_disk" not in config


@pytest.mark.parametrize("text", ["a\nclock_ns=1", "a\r", "a\0", "a b", "", "a=b", "a'b", "\u202e", "x" * 300])
@pytest.mark.parametrize("key", ["hostname", "init", "root_fs", "modules_disk", "channel", "address", "gateway", "dns"])
def test_no_value_can_begin_a_new_line(key: str, text: str) -> None:
    seed = make_seed(**{key: text})
    if (key, text) == ("init", ""):
        return  # says the same as None
    with pytest.raises(BangerError):
        seed.archive()


@pytest.mark.parametrize(
    "changes",
    [
        {"hostname": "Box"},
        {"init": "sbin/init"},
        {"init": "/sbin/../init"},
        {"direct": ("/",)},
        {"direct": ("/a/./b",)},
        {"direct": tuple(f"/d{number}" for number in range(17))},
        {"root_fs": "vfat"},
        {"clock_ns": -1},
        {"address": "10.0.2.300/24"},
        {"gateway": "fe80::1"},
        {"dns": "resolver"},
        {"mtu": 1},
        {"modules_disk": "x" * 21},
        {"channel": "tcp:1"},
        {"files": (SeedFile(path="etc/x", mode=0o600, content=b""),)},
        {"files": (SeedFile(path="/etc/../x", mode=0o600, content=b""),)},
        {"files": (SeedFile(path="/x", mode=0o4755, content=b""),)},
        {"files": (SeedFile(path="/a\nb", mode=0o600, content=b""),)},
    ],
)
def test_values_outside_their_grammar_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(Invalid):
        make_seed(**changes).archive()


@given(st.text(max_size=30))
def test_a_fuzzed_host_name_never_adds_a_line(text: str) -> None:
    try:
        archive = make_seed(hostname=text, files=()).archive()
    except Invalid:
        return
    assert archive.count(b"\n") == make_seed(files=()).archive().count(b"\n")


def test_the_kernel_finds_the_seed_behind_the_base(tmp_path: Path) -> None:
    agent = tmp_path / "agent"
    agent.write_bytes(b"program")
    base = build_base_initramfs(agent, [])
    joined = base + bytes(-len(base) % 512) + make_seed().archive()
    second = joined.index(b"070701", len(base))
    assert second % 4 == 0  # the unpacker wants each header there
    assert "seed/config" in modes(joined[second:])
