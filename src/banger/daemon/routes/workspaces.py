"""`/v1/vms/{ref}/workspace/...`: what was done in a workspace, and bringing it back."""

from __future__ import annotations

from starlette.routing import Route

from banger.api.messages import ApplyRequest, FetchRequest, ReviewRequest, WorkspaceStatusRequest
from banger.daemon.context import Request
from banger.daemon.exchanges import Requests
from banger.daemon.routes.decoding import PathParameters, decode
from banger.daemon.services import Services


class WorkspaceRoutes:
    """Look at a workspace, review what was done there, and apply it."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def routes(self, requests: Requests) -> list[Route]:
        handlers = {"status": self.status, "review": self.review, "apply": self.apply, "fetch": self.fetch}
        return [
            Route(f"/v1/vms/{{ref}}/workspace/{word}", requests.progress(handler, settled=False), methods=["POST"])
            for word, handler in handlers.items()
        ]

    async def status(self, request: Request, path: PathParameters, body: bytes) -> object:
        asked = decode(body, WorkspaceStatusRequest)
        async with self._services.using_guest(path["ref"]) as record:
            return await self._services.workspaces.status(request, record, asked)

    async def review(self, request: Request, path: PathParameters, body: bytes) -> object:
        asked = decode(body, ReviewRequest)
        async with self._services.using_guest(path["ref"]) as record:
            return await self._services.workspaces.review(request, record, asked)

    async def fetch(self, request: Request, path: PathParameters, body: bytes) -> object:
        asked = decode(body, FetchRequest)
        async with self._services.using_guest(path["ref"]) as record:
            return await self._services.fetch(request, record, asked)

    async def apply(self, request: Request, path: PathParameters, body: bytes) -> object:
        """The patch is on this computer: the VM need not run."""
        asked = decode(body, ApplyRequest)
        record = await self._services.find(path["ref"])
        return await self._services.workspaces.apply(request, record, asked)
