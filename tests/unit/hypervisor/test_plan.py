"""QEMU's argument vector, as text that a person can read."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from banger.core.errors import Invalid
from banger.hypervisor.contract import COMMAND_LINE_LIMIT, CommandLine, DiskSpec, MachineSpec, NetworkSpec
from banger.hypervisor.qemu.board import find_board
from banger.hypervisor.qemu.plan import Inherited, kernel_command_line, plan_arguments

SPEC = MachineSpec(
    vm_id="11111111-2222-4333-8444-555555555555",
    vcpu=2,
    memory_mib=512,
    kernel=Path("/k/vmlinuz"),
    initramfs=Path("/r/initramfs"),
    command_line=CommandLine(("console=ttyS0", "quiet")),
    disks=(
        DiskSpec(serial="image", path=Path("/i/a,b.erofs"), read_only=True),
        DiskSpec(serial="data", path=Path('/s/with "quotes" and spaces'), read_only=False),
    ),
    channel=Path("/r/channel.sock"),
    console=Path("/s/console.log"),
    console_socket=Path("/r/console.sock"),
    control=Path("/r/control.sock"),
    log=Path("/s/vmm.log"),
    log_pipe=Path("/r/vmm.pipe"),
    network=None,
    run_directory=Path("/r"),
)
X86_64 = find_board("x86_64")
AARCH64 = find_board("aarch64")
INHERITED = Inherited(channel=5, console=6, control=7)


def test_the_whole_vector() -> None:
    arguments = plan_arguments("qemu", X86_64, "tcg", SPEC, INHERITED)
    assert arguments[:8] == [
        "qemu",
        "-M",
        "microvm,rtc=on",
        "-accel",
        "tcg,tb-size=256",
        "-cpu",
        "max",
        "-smp",
    ]
    text = " ".join(arguments)
    for expected in (
        "-smp 2 -m 512M",
        "-nodefaults -no-user-config -no-reboot -display none",
        "-sandbox on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
        "-name banger-11111111-2222-4333-8444-555555555555",
        "-kernel /k/vmlinuz -initrd /r/initramfs -append console=ttyS0 quiet",
        "-chardev socket,id=control,fd=7,server=on,wait=off -mon chardev=control,mode=control",
        "-chardev socket,id=console,fd=6,server=on,wait=off -serial chardev:console",
        "virtserialport,chardev=channel,name=banger.channel",
    ):
        assert expected in text
    assert "netdev" not in text


def test_disks_are_raw_in_order_and_their_paths_are_data() -> None:
    arguments = plan_arguments("qemu", X86_64, "tcg", SPEC, INHERITED)
    blocks = [json.loads(arguments[at + 1]) for at, word in enumerate(arguments) if word == "-blockdev"]
    assert [block["driver"] for block in blocks] == ["raw", "raw"]
    assert [block["file"]["filename"] for block in blocks] == ["/i/a,b.erofs", '/s/with "quotes" and spaces']
    assert [block["read-only"] for block in blocks] == [True, False]
    devices = [word for word in arguments if word.startswith("virtio-blk-device")]
    assert devices == ["virtio-blk-device,drive=image,serial=image", "virtio-blk-device,drive=data,serial=data"]


def test_with_kvm_and_a_network() -> None:
    spec = replace(SPEC, network=NetworkSpec(socket=Path("/very/long" * 30 + "/network.sock"), mac="02:00:00:00:00:01"))
    arguments = plan_arguments("qemu", X86_64, "kvm", spec, INHERITED)
    assert arguments[3:7] == ["-accel", "kvm", "-cpu", "host"]
    assert "stream,id=net,server=off,addr.type=unix,addr.path=network.sock" in arguments
    assert "virtio-net-device,netdev=net,mac=02:00:00:00:00:01" in arguments


def test_an_aarch64_guest_has_another_computer_and_the_same_devices() -> None:
    spec = replace(SPEC, network=NetworkSpec(socket=Path("/r/network.sock"), mac="02:00:00:00:00:01"))
    emulated = plan_arguments("qemu", AARCH64, "tcg", spec, INHERITED)
    assert emulated[1:7] == ["-M", "virt,gic-version=3,acpi=off", "-accel", "tcg,tb-size=256", "-cpu", "cortex-a76"]
    native = plan_arguments("qemu", AARCH64, "kvm", spec, INHERITED)
    assert native[1:7] == ["-M", "virt,gic-version=host,acpi=off", "-accel", "kvm", "-cpu", "host"]
    other = plan_arguments("qemu", X86_64, "tcg", spec, INHERITED)
    assert emulated[emulated.index("-name") :] == other[other.index("-name") :]
    assert "virtio-mmio.force-legacy=false" in emulated


def test_each_kernel_is_told_of_its_own_serial_port_and_of_no_device_that_it_has_not() -> None:
    assert set(kernel_command_line(AARCH64, tsc_khz=None).words) == {
        "console=ttyAMA0",
        "quiet",
        "loglevel=4",
        "panic=-1",
        "random.trust_cpu=on",
        "systemd.show_status=false",
    }
    extra = set(kernel_command_line(X86_64, tsc_khz=None).words) - set(kernel_command_line(AARCH64, tsc_khz=None).words)
    assert extra == {"console=ttyS0", "reboot=t", "pci=off", "8250.nr_uarts=1"}


@pytest.mark.parametrize("word", ["a b", "a\nb", "", "a='x'", 'a="x"', "a=$x", "a;b", "=x", "a=\0", "ä"])
def test_words_that_cannot_stand_on_a_command_line(word: str) -> None:
    with pytest.raises(Invalid):
        CommandLine((word,))


def test_a_command_line_has_a_limit() -> None:
    with pytest.raises(Invalid):
        CommandLine(tuple("a" * 60 for _ in range(COMMAND_LINE_LIMIT // 60)))


@given(st.lists(st.text(max_size=40), max_size=5))
def test_an_accepted_command_line_has_one_meaning(words: list[str]) -> None:
    try:
        line = CommandLine(tuple(words))
    except Invalid:
        return
    assert str(line).split(" ") == (words or [""])
    assert str(line).isprintable()


def test_emulated_guests_are_told_how_fast_their_counter_is() -> None:
    assert "tsc_early_khz=2300000" in kernel_command_line(X86_64, tsc_khz=2_300_000).words
    assert not any(word.startswith("tsc") for word in kernel_command_line(X86_64, tsc_khz=None).words)
