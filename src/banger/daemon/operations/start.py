"""Start a VM: initramfs with its seed, network if asked for, VMM, and the guest's first message."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from banger.core.clock import Clock
from banger.core.files import make_private_directory
from banger.core.layout import Layout
from banger.core.vm import State, check_move
from banger.daemon.collaborators import Chooser, Chosen, Images, Kernels, Networks, Space
from banger.daemon.context import Report, Request
from banger.daemon.guest_channel import reconnect_to
from banger.daemon.journal import Journal, Step, nothing
from banger.daemon.operations.boot_files import BootFiles
from banger.daemon.operations.file_sync import SyncFiles
from banger.daemon.operations.readiness import AwaitGuest
from banger.daemon.operations.teardown import Teardown, write_identity
from banger.daemon.supervisor import Live, Supervisor
from banger.guest.channel import Channel
from banger.guest.readiness import Wait
from banger.hypervisor.contract import DiskSpec, MachineSpec, NetworkSpec, RunningMachine
from banger.image.store import Image
from banger.kernel.store import Kernel
from banger.network.plan import DEFAULT_NETWORK
from banger.store.records import OpenOperation, VmRecord, set_running, set_state

log = logging.getLogger(__name__)

KIND = "start"


@dataclass(slots=True)
class Boot:
    """What is known while a VM starts. `wait` is how ready it has to be; `bare` as in `StartVm.__call__`."""

    image: Image
    kernel: Kernel
    chosen: Chosen
    report: Report
    wait: Wait
    bare: bool
    machine: RunningMachine | None = None
    channel: Channel | None = None


class StartVm:
    """The operation `start`. Rolls back."""

    kind: Final = KIND

    def __init__(
        self,
        *,
        layout: Layout,
        journal: Journal,
        teardown: Teardown,
        supervisor: Supervisor,
        images: Images,
        kernels: Kernels,
        chooser: Chooser,
        networks: Networks,
        space: Space,
        boot_files: BootFiles,
        await_guest: AwaitGuest,
        sync_files: SyncFiles,
        clock: Clock,
    ) -> None:
        self._layout = layout
        self._journal = journal
        self._teardown = teardown
        self._supervisor = supervisor
        self._images = images
        self._kernels = kernels
        self._chooser = chooser
        self._networks = networks
        self._space = space
        self._boot_files = boot_files
        self._await_guest = await_guest
        self._sync_files = sync_files
        self._clock = clock

    async def __call__(
        self, request: Request, record: VmRecord, *, wait: Wait = "agent", bare: bool = False
    ) -> VmRecord:
        """Start a stopped VM and return its new record when it is ready; a running one is returned as it is.

        A `bare` one runs only the agent, whatever init its image has, and gets none of the user's files.
        The caller holds the VM's lock. Whatever goes wrong, the VM is stopped afterwards and its disk is kept.
        """
        if record.state is State.RUNNING:
            return record
        check_move(record.name, record.state, State.STARTING)
        self._space.check()
        kernel = self._kernels.read(record.spec.kernel_digest)
        image = self._images.read(record.spec.image_digest)
        self._images.check(image)
        if bare:
            image = replace(image, init=None)
        boot = Boot(image, kernel, await self._chooser.choose(kernel), request.report, wait, bare)
        if record.spec.nat:
            self._networks.check()
        began_s = time.monotonic()
        timings: dict[str, float] = {}
        running = record

        def finish_running() -> VmRecord:
            assert boot.channel is not None
            return replace(
                record,
                state=State.RUNNING,
                started_at_s=self._clock.now_s(),
                accelerator=boot.chosen.accelerator,
                boot_id=boot.channel.hello.boot_id,
                timings_s={**timings, "start": time.monotonic() - began_s},
            )

        stage = f"boot.{record.id[:8]}"
        request.report({"event": "stage", "stage": stage, "text": f"booting {record.name}", "state": "begin"})
        await self._journal.roll_back_on_failure(
            kind=KIND,
            operation_id=f"{request.operation}.{KIND}.{record.id[:8]}",
            vm_id=record.id,
            begin=lambda connection: set_state(connection, record.id, State.STARTING),
            steps=self.steps(record, boot, timings),
            finish=lambda connection: set_running(connection, finish_running()),
            undone=lambda connection: set_state(connection, record.id, State.STOPPED),
        )
        running = finish_running()
        request.report(
            {
                "event": "stage",
                "stage": stage,
                "text": f"booted {record.name}",
                "state": "end",
                "elapsed_s": time.monotonic() - began_s,
            }
        )
        return running

    async def settle(self, operation: OpenOperation, record: VmRecord) -> None:
        """Undo what a dead daemon began: the VM is stopped, as it was."""
        await self._journal.undo_begun(
            operation, self.steps(record, None, {}), lambda connection: set_state(connection, record.id, State.STOPPED)
        )

    def steps(self, record: VmRecord, boot: Boot | None, timings: dict[str, float]) -> Sequence[Step]:
        """The steps; without `boot` only their undo may be used, by a later daemon."""
        files = self._layout.vm(record.id)

        async def timed(name: str, began_s: float) -> None:
            timings[name] = time.monotonic() - began_s

        async def make_run_directory() -> None:
            assert boot is not None
            began_s = time.monotonic()
            make_private_directory(files.run)
            await self._boot_files.write(record=record, image=boot.image, kernel=boot.kernel, files=files)
            await timed("initramfs", began_s)

        async def start_network() -> None:
            if record.spec.nat:
                identity = await self._networks.start(
                    vm_id=record.id,
                    run_directory=files.run,
                    socket=files.network,
                    log=files.network_log,
                    traffic=files.network_traffic,
                )
                await write_identity(files.network_process, identity)

        async def start_vmm() -> None:
            assert boot is not None
            began_s = time.monotonic()
            boot.machine = await boot.chosen.hypervisor.start(self.machine_spec(record, boot.kernel, boot.chosen))
            await write_identity(files.process, boot.machine.identity)
            await timed("vmm", began_s)

        async def await_guest() -> None:
            assert boot is not None
            assert boot.machine is not None
            began_s = time.monotonic()
            ready = await self._await_guest(boot.report, record, boot.machine, wait=boot.wait)
            boot.channel = ready.channel
            timings.update(ready.timings_s)
            await timed("guest", began_s)
            self._supervisor.add(
                record.id, Live(machine=boot.machine, channel=boot.channel, connect=reconnect_to(files))
            )

        async def copy_files() -> None:
            assert boot is not None
            assert boot.channel is not None
            if not boot.bare:
                await self._sync_files(boot.report, boot.channel)

        async def end_processes() -> None:
            if boot is not None and boot.machine is not None and self._supervisor.find(record.id) is None:
                if boot.channel is not None:
                    await boot.channel.aclose()
                await boot.machine.kill()
                await boot.machine.aclose()
            await self._teardown.remove_processes(record.id)

        async def remove_run_directory() -> None:
            await self._teardown.remove_run_directory(record.id)

        return (
            Step("run_directory", make_run_directory, remove_run_directory),
            Step("network", start_network, end_processes),
            Step("vmm", start_vmm, end_processes),
            Step("guest", await_guest, nothing),
            Step("files", copy_files, nothing),
        )

    def machine_spec(self, record: VmRecord, kernel: Kernel, chosen: Chosen) -> MachineSpec:
        """The machine spec of this VM, for starting it and for adopting it: both must get the same."""
        files = self._layout.vm(record.id)
        image = self._images.read(record.spec.image_digest)
        return MachineSpec(
            vm_id=record.id,
            vcpu=record.spec.vcpu,
            memory_mib=record.spec.memory_mib,
            kernel=kernel.vmlinuz,
            initramfs=files.initramfs,
            command_line=chosen.command_line,
            disks=(
                DiskSpec(serial="image", path=image.rootfs, read_only=True),
                DiskSpec(serial="modules", path=kernel.modules, read_only=True),
                DiskSpec(serial="data", path=files.data_disk, read_only=False),
            ),
            channel=files.channel,
            console=files.console,
            console_socket=files.console_socket,
            control=files.control,
            log=files.vmm_log,
            log_pipe=files.vmm_pipe,
            network=NetworkSpec(socket=files.network, mac=DEFAULT_NETWORK.guest_mac) if record.spec.nat else None,
            run_directory=files.run,
        )
