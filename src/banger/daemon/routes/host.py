"""The daemon itself, and the computer it runs on."""

from __future__ import annotations

import os

from starlette.routing import Route

from banger import __version__
from banger.api.messages import API_VERSION, DiskUsage, LeaksResult, Ping
from banger.daemon.context import Request
from banger.daemon.exchanges import Requests
from banger.daemon.progress import reporter
from banger.daemon.routes.decoding import PathParameters
from banger.daemon.services import Services


class HostRoutes:
    """Is somebody there, what can it do, and please end."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def routes(self, requests: Requests) -> list[Route]:
        return [
            Route("/v1/ping", requests.plain(self.ping), methods=["GET"]),
            Route("/v1/daemon/stop", requests.plain(self.stop_daemon), methods=["POST"]),
            Route("/v1/system/df", requests.plain(self.disk_usage, settled=True), methods=["GET"]),
            Route("/v1/system/leaks", requests.plain(self.leaks, settled=True), methods=["GET"]),
            Route("/v1/doctor", requests.progress(self.doctor, settled=False), methods=["POST"]),
        ]

    async def ping(self, _path: PathParameters, _body: bytes) -> Ping:
        return {
            "version": __version__,
            "api_version": API_VERSION,
            "pid": os.getpid(),
            "started_at_s": self._services.started_at_s,
            "vms_running": len(self._services.supervisor.running()),
            "notice": self._services.notice,
        }

    async def stop_daemon(self, _path: PathParameters, _body: bytes) -> object:
        self._services.stop_daemon()
        return {}

    async def doctor(self, request: Request, _path: PathParameters, _body: bytes) -> object:
        return await self._services.doctor(reporter(request))

    async def disk_usage(self, _path: PathParameters, _body: bytes) -> DiskUsage:
        return await self._services.system.usage()

    async def leaks(self, _path: PathParameters, _body: bytes) -> LeaksResult:
        return await self._services.system.leaks()
