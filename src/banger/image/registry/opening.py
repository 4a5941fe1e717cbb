"""Putting the registry client together. The HTTP library is imported here, when a registry is spoken to."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from banger.image.registry.credentials import Credentials, UserCredentials
from banger.image.registry.patience import Patience
from banger.image.registry.sources import Registries

if TYPE_CHECKING:
    from banger.image.registry.client import RegistryClient
    from banger.image.registry.network import Network

PATIENCE: Final = Patience()


@asynccontextmanager
async def open_client(
    *, registries: Registries, environment: Mapping[str, str], patience: Patience = PATIENCE
) -> AsyncIterator[RegistryClient]:
    """A client for one task: what it learns about logins is dropped afterwards.

    `registries` are the configuration's; `environment` says where files of credentials are, and which proxies to use.
    """
    from banger.image.registry.network import Network

    network = Network(patience=patience, environment=environment)
    credentials = UserCredentials(environment, helper_deadline_s=patience.helper_s)
    async with assemble(network, credentials, registries=registries, patience=patience) as client:
        yield client


@asynccontextmanager
async def assemble(
    network: Network, credentials: Credentials, *, registries: Registries, patience: Patience
) -> AsyncIterator[RegistryClient]:
    """A client on a network; closes the network."""
    from banger.image.registry.authorizing import Authorizer
    from banger.image.registry.client import RegistryClient
    from banger.image.registry.downloads import Downloader
    from banger.image.registry.requests import Requests

    authorizer = Authorizer(network, credentials, registries=registries, monotonic_s=time.monotonic)
    requests = Requests(network, authorizer, registries=registries, patience=patience, now_s=time.time)
    try:
        yield RegistryClient(requests, Downloader(requests, patience=patience), registries=registries)
    finally:
        await network.aclose()
