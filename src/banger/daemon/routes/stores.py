"""`/v1/images` and `/v1/kernels`."""

from __future__ import annotations

from starlette.routing import Route

from banger.api.messages import ImportRequest, PullRequest
from banger.daemon.context import Request
from banger.daemon.exchanges import Requests
from banger.daemon.routes.decoding import PathParameters, decode
from banger.daemon.services import Services


class StoreRoutes:
    """What VMs boot from."""

    def __init__(self, services: Services) -> None:
        self._images = services.images
        self._kernels = services.kernels

    def routes(self, requests: Requests) -> list[Route]:
        return [
            Route("/v1/images", requests.plain(self.list_images), methods=["GET"]),
            Route("/v1/images/pull", requests.progress(self.pull_image), methods=["POST"]),
            Route("/v1/images/import", requests.progress(self.import_image), methods=["POST"]),
            Route("/v1/kernels", requests.plain(self.list_kernels), methods=["GET"]),
        ]

    async def list_images(self, _path: PathParameters, _body: bytes) -> object:
        return {"images": await self._images.list()}

    async def list_kernels(self, _path: PathParameters, _body: bytes) -> object:
        return {"kernels": await self._kernels.list()}

    async def pull_image(self, request: Request, _path: PathParameters, body: bytes) -> object:
        return await self._images.pull(request, decode(body, PullRequest))

    async def import_image(self, request: Request, _path: PathParameters, body: bytes) -> object:
        return await self._images.import_path(request, decode(body, ImportRequest))
