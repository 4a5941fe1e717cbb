"""`/v1/vms/{ref}/jobs`: commands that go on in a guest when their client has gone."""

from __future__ import annotations

from starlette.routing import Route

from banger.api.messages import JobLogsRequest, JobRequest, JobSignalRequest, JobsResult
from banger.daemon.context import Request
from banger.daemon.exchanges import Requests
from banger.daemon.operations.jobs import parse_job_number
from banger.daemon.routes.decoding import PathParameters, decode
from banger.daemon.services import Services
from banger.daemon.streams import StreamExchange


class JobRoutes:
    """Begin, list, follow, wait for and end jobs."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def routes(self, requests: Requests) -> list[Route]:
        one = "/v1/vms/{ref}/jobs/{job}"
        return [
            Route("/v1/vms/{ref}/jobs", requests.progress(self.begin, settled=False), methods=["POST"]),
            Route("/v1/vms/{ref}/jobs", requests.plain(self.list), methods=["GET"]),
            Route(f"{one}/logs", requests.stream(self.logs), methods=["POST"]),
            Route(f"{one}/wait", requests.progress(self.wait, settled=False), methods=["POST"]),
            Route(f"{one}/kill", requests.progress(self.kill, settled=False), methods=["POST"]),
        ]

    async def begin(self, request: Request, path: PathParameters, body: bytes) -> object:
        asked = decode(body, JobRequest)
        async with self._services.using_guest(path["ref"]) as record:
            return await self._services.jobs.begin(request, record, asked)

    async def list(self, path: PathParameters, _body: bytes) -> JobsResult:
        async with self._services.using_guest(path["ref"]) as record:
            return {"jobs": await self._services.jobs.list(record)}

    async def logs(self, _request: Request, path: PathParameters, body: bytes, exchange: StreamExchange) -> object:
        asked = decode(body, JobLogsRequest)
        number = parse_job_number(path["job"])
        async with self._services.using_guest(path["ref"]) as record:
            return await self._services.jobs.logs(record, number, asked, exchange)

    async def wait(self, _request: Request, path: PathParameters, _body: bytes) -> object:
        number = parse_job_number(path["job"])
        async with self._services.using_guest(path["ref"]) as record:
            return await self._services.jobs.wait(record, number)

    async def kill(self, _request: Request, path: PathParameters, body: bytes) -> object:
        asked = decode(body, JobSignalRequest)
        number = parse_job_number(path["job"])
        async with self._services.using_guest(path["ref"]) as record:
            return await self._services.jobs.kill(record, number, asked["signal"])
