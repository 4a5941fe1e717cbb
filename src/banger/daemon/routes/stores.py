"""`/v1/images` and `/v1/kernels`."""

from __future__ import annotations

from starlette.routing import Route

from banger.api.messages import (
    BuildRequest,
    ImageExportRequest,
    ImportRequest,
    KernelImportRequest,
    KernelPullRequest,
    LockRequest,
    NamesRequest,
    PromoteRequest,
    PruneRequest,
    PullRequest,
    RegisterRequest,
    SaveRequest,
)
from banger.daemon.context import Request
from banger.daemon.exchanges import Requests
from banger.daemon.routes.decoding import PathParameters, decode
from banger.daemon.services import Services
from banger.daemon.streams import StreamExchange


class StoreRoutes:
    """What VMs boot from."""

    def __init__(self, services: Services) -> None:
        self._images = services.images
        self._export_image = services.export_image
        self._kernels = services.kernels
        self._locking = services.locking
        self._prune = services.prune_cache
        self._services = services

    def routes(self, requests: Requests) -> list[Route]:
        return [
            Route("/v1/images", requests.plain(self.list_images), methods=["GET"]),
            Route("/v1/images/pull", requests.progress(self.pull_image), methods=["POST"]),
            Route("/v1/images/build", requests.progress(self.build_image), methods=["POST"]),
            Route("/v1/images/save", requests.progress(self.save_image), methods=["POST"]),
            Route("/v1/images/import", requests.progress(self.import_image), methods=["POST"]),
            Route("/v1/images/register", requests.progress(self.register), methods=["POST"]),
            Route("/v1/images/promote", requests.progress(self.promote), methods=["POST"]),
            Route("/v1/images/cache/prune", requests.progress(self.prune), methods=["POST"]),
            Route("/v1/lock", requests.progress(self.lock), methods=["POST"]),
            Route("/v1/images/available", requests.progress(self.available_images), methods=["POST"]),
            Route("/v1/images/delete", requests.progress(self.delete_images), methods=["POST"]),
            Route("/v1/images/{name}/export", requests.stream(self.export_image), methods=["POST"]),
            Route("/v1/images/{name}", requests.plain(self.show_image), methods=["GET"]),
            Route("/v1/images/{name}/{platform:path}", requests.plain(self.show_image), methods=["GET"]),
            Route("/v1/kernels", requests.plain(self.list_kernels), methods=["GET"]),
            Route("/v1/kernels/available", requests.progress(self.available_kernels), methods=["POST"]),
            Route("/v1/kernels/pull", requests.progress(self.pull_kernel), methods=["POST"]),
            Route("/v1/kernels/import", requests.progress(self.import_kernel), methods=["POST"]),
            Route("/v1/kernels/delete", requests.progress(self.delete_kernels), methods=["POST"]),
            Route("/v1/kernels/{name}", requests.plain(self.show_kernel), methods=["GET"]),
            Route("/v1/kernels/{name}/{platform:path}", requests.plain(self.show_kernel), methods=["GET"]),
        ]

    async def list_images(self, _path: PathParameters, _body: bytes) -> object:
        return {"images": await self._images.list()}

    async def list_kernels(self, _path: PathParameters, _body: bytes) -> object:
        return {"kernels": await self._kernels.list()}

    async def pull_image(self, request: Request, _path: PathParameters, body: bytes) -> object:
        return await self._images.pull(request, decode(body, PullRequest))

    async def build_image(self, request: Request, _path: PathParameters, body: bytes) -> object:
        asked = decode(body, BuildRequest)
        return await self._services.build_image(request, path=asked["path"], name=asked["name"])

    async def save_image(self, request: Request, _path: PathParameters, body: bytes) -> object:
        asked = decode(body, SaveRequest)
        record = await self._services.find(asked["vm"])
        return await self._services.save_image(request, record, asked["name"])

    async def import_image(self, request: Request, _path: PathParameters, body: bytes) -> object:
        return await self._images.import_path(request, decode(body, ImportRequest))

    async def available_images(self, request: Request, _path: PathParameters, _body: bytes) -> object:
        return await self._images.available(request)

    async def show_image(self, path: PathParameters, _body: bytes) -> object:
        return await self._images.show(path["name"], path.get("platform"))

    async def export_image(
        self, request: Request, path: PathParameters, body: bytes, exchange: StreamExchange
    ) -> object:
        return await self._export_image(request, path["name"], decode(body, ImageExportRequest), exchange)

    async def delete_images(self, request: Request, _path: PathParameters, body: bytes) -> object:
        return await self._images.delete(request, decode(body, NamesRequest))

    async def available_kernels(self, request: Request, _path: PathParameters, _body: bytes) -> object:
        return await self._kernels.available(request)

    async def show_kernel(self, path: PathParameters, _body: bytes) -> object:
        return await self._kernels.show(path["name"], path.get("platform"))

    async def pull_kernel(self, request: Request, _path: PathParameters, body: bytes) -> object:
        return await self._kernels.pull(request, decode(body, KernelPullRequest))

    async def import_kernel(self, request: Request, _path: PathParameters, body: bytes) -> object:
        return await self._kernels.import_files(request, decode(body, KernelImportRequest))

    async def delete_kernels(self, request: Request, _path: PathParameters, body: bytes) -> object:
        return await self._kernels.delete(request, decode(body, NamesRequest))

    async def lock(self, request: Request, _path: PathParameters, body: bytes) -> object:
        return await self._locking.lock(request, decode(body, LockRequest))

    async def prune(self, _request: Request, _path: PathParameters, body: bytes) -> object:
        return await self._prune(dry_run=decode(body, PruneRequest)["dry_run"])

    async def register(self, request: Request, _path: PathParameters, body: bytes) -> object:
        return await self._images.register(request, decode(body, RegisterRequest))

    async def promote(self, request: Request, _path: PathParameters, body: bytes) -> object:
        return await self._images.promote(request, decode(body, PromoteRequest))
