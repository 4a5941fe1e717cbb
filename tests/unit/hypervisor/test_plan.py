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
INHERITED = Inherited(channel=5, console=6, control=7)


def test_the_whole_vector() -> None:
    arguments = plan_arguments("qemu", "tcg", SPEC, INHERITED)
    assert arguments[:8] == [
        "qemu",
        "-M",
        "microvm,rtc=on",
        "-accel",
        "tcg,thread=multi,tb-size=256",
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
    arguments = plan_arguments("qemu", "tcg", SPEC, INHERITED)
    blocks = [json.loads(arguments[at + 1]) for at, word in enumerate(arguments) if word == "-blockdev"]
    assert [block["driver"] for block in blocks] == ["raw", "raw"]
    assert [block["file"]["filename"] for block in blocks] == ["/i/a,b.erofs", '/s/with "quotes" and spaces']
    assert [block["read-only"] for block in blocks] == [True, False]
    devices = [word for word in arguments if word.startswith("virtio-blk-device")]
    assert devices == ["virtio-blk-device,drive=image,serial=image", "virtio-blk-device,drive=data,serial=data"]


def test_with_kvm_and_a_network() -> None:
    spec = replace(SPEC, network=NetworkSpec(socket=Path("/very/long" * 30 + "/network.sock"), mac="02:00:00:00:00:01"))
    arguments = plan_arguments("qemu", "kvm", spec, INHERITED)
    assert arguments[3:7] == ["-accel", "kvm", "-cpu", "host"]
    assert "stream,id=net,server=off,addr.type=unix,addr.path=network.sock" in arguments
    assert "virtio-net-device,netdev=net,mac=02:00:00:00:00:01" in arguments


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
    assert {"tsc_early_khz=2300000", "tsc=reliable"} <= set(kernel_command_line(tsc_khz=2_300_000).words)
    assert not any(word.startswith("tsc") for word in kernel_command_line(tsc_khz=None).words)
