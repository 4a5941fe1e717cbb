"""`vm create`: a VM that stays, started or not, without a workspace."""

from __future__ import annotations

from banger.api.messages import CreateRequest, VmView
from banger.daemon.context import Request
from banger.daemon.operations.making import MakeVm
from banger.daemon.operations.refusing import refusing
from banger.daemon.operations.start import StartVm
from banger.daemon.supervisor import Supervisor
from banger.daemon.views import view_vm


class CreateMachine:
    """The use case, composed of `create` and `start`."""

    def __init__(self, *, supervisor: Supervisor, make: MakeVm, start: StartVm) -> None:
        self._supervisor = supervisor
        self._make = make
        self._start = start

    async def __call__(self, request: Request, asked: CreateRequest) -> VmView:
        """Make the VM. One that fails to start stays, stopped: it was asked for, and its console says why."""
        with refusing():
            record = await self._make.plan(request, asked, attended=False, ephemeral=False)
        async with self._make.made(request, record) as made:
            wait = asked.get("wait", "agent")
            record = await self._start(request, made, wait=wait) if asked["start"] else made
        return view_vm(record, self._supervisor)
