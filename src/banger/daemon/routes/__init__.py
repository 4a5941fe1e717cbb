"""Which request is which use case: decode, call it, answer."""

from __future__ import annotations

from starlette.applications import Starlette

from banger.daemon.exchanges import Requests
from banger.daemon.routes.guests import GuestRoutes
from banger.daemon.routes.host import HostRoutes
from banger.daemon.routes.jobs import JobRoutes
from banger.daemon.routes.observations import ObservationRoutes
from banger.daemon.routes.stores import StoreRoutes
from banger.daemon.routes.vms import VmRoutes
from banger.daemon.routes.workspaces import WorkspaceRoutes
from banger.daemon.services import Services


def build_application(services: Services, requests: Requests) -> Starlette:
    """The ASGI application."""
    return Starlette(
        routes=[
            *HostRoutes(services).routes(requests),
            *ObservationRoutes(services).routes(requests),
            *VmRoutes(services).routes(requests),
            *GuestRoutes(services).routes(requests),
            *WorkspaceRoutes(services).routes(requests),
            *JobRoutes(services).routes(requests),
            *StoreRoutes(services).routes(requests),
        ]
    )
