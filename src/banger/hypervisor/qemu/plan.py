"""From a machine's spec to QEMU's argument vector. Pure."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass

from banger.hypervisor.contract import CommandLine, DiskSpec, MachineSpec
from banger.hypervisor.qemu.board import Accelerator, Board


@dataclass(frozen=True, slots=True, kw_only=True)
class Inherited:
    """Listening sockets that QEMU inherits as descriptors, so that no path is too long or has to appear first."""

    channel: int
    console: int
    control: int


def plan_arguments(
    program: str, board: Board, accelerator: Accelerator, spec: MachineSpec, inherited: Inherited
) -> list[str]:
    """The whole argument vector. The guest identifies the disks by their serial numbers, whatever their order."""
    arguments = [program, *plan_machine(board, accelerator, vcpu=spec.vcpu, memory_mib=spec.memory_mib)]
    arguments += ["-name", f"banger-{spec.vm_id}"]
    arguments += ["-kernel", os.fspath(spec.kernel), "-initrd", os.fspath(spec.initramfs)]
    arguments += ["-append", str(spec.command_line)]
    arguments += [*_chardev("control", inherited.control), "-mon", "chardev=control,mode=control"]
    arguments += [*_chardev("console", inherited.console), "-serial", "chardev:console"]
    arguments += ["-device", "virtio-serial-device,max_ports=2"]
    arguments += _chardev("channel", inherited.channel)
    arguments += ["-device", "virtserialport,chardev=channel,name=banger.channel"]
    arguments += ["-object", "rng-random,id=rng,filename=/dev/urandom", "-device", "virtio-rng-device,rng=rng"]
    for disk in spec.disks:
        arguments += _disk(disk)
    if spec.network is not None:
        # Relative to the run directory, which is QEMU's working directory.
        arguments += ["-netdev", f"stream,id=net,server=off,addr.type=unix,addr.path={spec.network.socket.name}"]
        arguments += ["-device", f"virtio-net-device,netdev=net,mac={spec.network.mac}"]
    return arguments


def plan_machine(board: Board, accelerator: Accelerator, *, vcpu: int, memory_mib: int) -> list[str]:
    """The machine without its devices; the probe runs the same."""
    return [
        *("-M", board.machine[accelerator]),
        # Emulated processors run side by side where the host's memory is ordered as strictly as the guest's has to
        # be: QEMU knows, and overruling it (`thread=multi`) breaks x86_64 guests on aarch64 hosts.
        *("-accel", "kvm" if accelerator == "kvm" else "tcg,tb-size=256"),
        *("-cpu", board.processor[accelerator]),
        *("-smp", str(vcpu), "-m", f"{memory_mib}M"),
        *("-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"),
        *("-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"),
        *board.options,
    ]


def kernel_command_line(board: Board, *, tsc_khz: int | None) -> CommandLine:
    """The kernel command line of every guest: its console, few messages, and a reboot instead of a hang after a panic.

    `tsc_khz` is given to emulated guests that have the host's time stamp counter: left to calibrate it against emulated
    timers, half of them hang in `calibrate_delay` when the host is busy. The kernel gives the counters of two
    processors up all the same, for ticks that never stop. `tsc=reliable` would change that, and idle guests would use
    a tenth of the processor; but with it one guest in about 170 hung before its init. With KVM the kernel asks the
    hypervisor.
    """
    return CommandLine(
        (
            f"console={board.console}",
            "quiet",
            "loglevel=4",
            "panic=-1",
            "random.trust_cpu=on",
            "systemd.show_status=false",
            *board.words,
            *((f"tsc_early_khz={tsc_khz}",) if tsc_khz else ()),
        )
    )


def _chardev(name: str, descriptor: int) -> list[str]:
    return ["-chardev", f"socket,id={name},fd={descriptor},server=on,wait=off"]


def _disk(disk: DiskSpec) -> list[str]:
    """JSON, so that a comma in a path is a comma; always `raw`: nothing a guest writes is ever probed."""
    block = {
        "driver": "raw",
        "node-name": disk.serial,
        "read-only": disk.read_only,
        "discard": "ignore" if disk.read_only else "unmap",
        "file": {
            "driver": "file",
            "filename": os.fspath(disk.path),
            "aio": "threads",
            "discard": "ignore" if disk.read_only else "unmap",
        },
    }
    device = f"virtio-blk-device,drive={disk.serial},serial={disk.serial}"
    return ["-blockdev", json.dumps(block, separators=(",", ":")), "-device", device]
