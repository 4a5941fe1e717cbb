"""Connections to registries: which servers are allowed, for how long, and which failures are temporary.

With `failures.py` this is all that knows the HTTP library: the lower half of httpx2, by itself, because it does
nothing that nobody asked for: no redirects, cookies, decoding, .netrc or proxies. Its import takes as long as a short
command may, and so it is imported when a registry is spoken to and not before.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Final

import httpcore2

from banger import __version__
from banger.image.registry.addresses import ANYWHERE, Place, place_of
from banger.image.registry.answers import Answer
from banger.image.registry.failures import Forbidden, translate
from banger.image.registry.patience import Patience
from banger.image.registry.proxies import Proxy, choose_proxy
from banger.image.registry.refusals import forbidden_place
from banger.image.registry.urls import Origin, Url

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]

# At its lowest level the library logs headers, and those of redirects are signed.
logging.getLogger("httpcore2").setLevel(logging.WARNING)

_CONNECTIONS: Final = 8
_KEPT_S: Final = 15.0


async def resolve(host: str, port: int) -> Sequence[str]:
    """The numeric addresses of a host, in the order to try them. Raises `OSError`."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class GuardedBackend(httpcore2.AsyncNetworkBackend):
    """Connects to addresses that were looked at: the name is resolved here, once, and its address is what counts.

    The methods and their parameters are those that the library calls.
    """

    def __init__(self, *, resolve: Resolve, locate: Callable[[str], Place], reach: Place) -> None:
        self._inner = httpcore2.AnyIOBackend()
        self._resolve = resolve
        self._locate = locate
        self._reach = reach

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109
        local_address: str | None = None,  # noqa: ARG002
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        try:
            async with asyncio.timeout(timeout):
                found = await self._resolve(host, port)
                allowed = [address for address in found if self._locate(address) <= self._reach]
                if found and not allowed:
                    raise Forbidden(host)
                return await self._connect(allowed, port, socket_options)
        except TimeoutError as error:
            raise httpcore2.ConnectTimeout(host) from error
        except OSError as error:
            raise httpcore2.ConnectError(error.strerror or str(error)) from error

    async def _connect(
        self, addresses: Sequence[str], port: int, socket_options: Iterable[httpcore2.SOCKET_OPTION] | None
    ) -> httpcore2.AsyncNetworkStream:
        failure: Exception = httpcore2.ConnectError("the name has no address")
        for address in addresses:
            try:
                return await self._inner.connect_tcp(address, port, socket_options=socket_options)
            except httpcore2.ConnectError as error:
                failure = error
        raise failure

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ARG002, ASYNC109
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,  # noqa: ARG002
    ) -> httpcore2.AsyncNetworkStream:
        raise Forbidden(path)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """A request, and how far inwards the server of its URL may be."""

    method: str
    url: Url
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None
    reach: Place = ANYWHERE


class Network:
    """Sends requests. `environment` says which proxies to use; `resolve` and `locate` are for tests to replace."""

    def __init__(
        self,
        *,
        patience: Patience,
        environment: Mapping[str, str],
        tls: ssl.SSLContext | None = None,
        resolve: Resolve = resolve,
        locate: Callable[[str], Place] = place_of,
    ) -> None:
        self._patience = patience
        self._environment = environment
        self._tls = tls
        self._resolve = resolve
        self._locate = locate
        self._pools: dict[tuple[Place, Proxy | None, bool], httpcore2.AsyncConnectionPool] = {}

    async def aclose(self) -> None:
        """Close all connections."""
        for pool in self._pools.values():
            await pool.aclose()
        self._pools.clear()

    @asynccontextmanager
    async def send(self, outgoing: Outgoing) -> AsyncIterator[Answer]:
        """Send a request and give its answer, whose body is read within the context.

        Raises `Transient` for temporary failures, `Denied` for a server that is not allowed, `Failed` for TLS errors.
        """
        origin = outgoing.url.origin
        proxy = choose_proxy(origin, self._environment)
        if proxy is not None and self._locate_literal(origin.host) > outgoing.reach:
            raise forbidden_place(origin)
        tls = "https" in (origin.scheme, proxy.origin.scheme if proxy is not None else "")
        pool = self._pool(ANYWHERE if proxy is not None else outgoing.reach, proxy, tls=tls)
        request = self._request(outgoing)
        try:
            async with asyncio.timeout(self._patience.connect_s + self._patience.answer_s):
                response = await pool.handle_async_request(request)
        except Exception as error:
            raise translate(error, origin, self._patience) from error
        try:
            peer = response.extensions["network_stream"].get_extra_info("server_addr")
            yield Answer(
                status=response.status,
                headers=[(name.decode("latin-1"), value.decode("latin-1")) for name, value in response.headers],
                body=self._body(response, origin),
                url=outgoing.url,
                peer=self._locate_literal(origin.host) if proxy is not None else self._locate(str(peer[0])),
                patience=self._patience,
            )
        finally:
            await response.aclose()

    async def _body(self, response: httpcore2.Response, origin: Origin) -> AsyncIterator[bytes]:
        try:
            async with aclosing(response.aiter_stream()) as parts:
                async for part in parts:
                    yield part
        except (httpcore2.NetworkError, httpcore2.ProtocolError, httpcore2.TimeoutException) as error:
            raise translate(error, origin, self._patience) from error

    def _request(self, outgoing: Outgoing) -> httpcore2.Request:
        origin = outgoing.url.origin
        patience = self._patience
        length = [] if outgoing.body is None else [("Content-Length", str(len(outgoing.body)))]
        return httpcore2.Request(
            outgoing.method,
            httpcore2.URL(scheme=origin.scheme, host=origin.host, port=origin.port, target=outgoing.url.target),
            headers=[
                ("Host", origin.authority),
                ("User-Agent", f"banger/{__version__}"),
                ("Accept-Encoding", "identity"),
                *outgoing.headers,
                *length,
            ],
            content=outgoing.body,
            extensions={
                "timeout": {
                    "connect": patience.connect_s,
                    "read": patience.idle_s,
                    "write": patience.idle_s,
                    "pool": patience.connect_s,
                }
            },
        )

    def _pool(self, reach: Place, proxy: Proxy | None, *, tls: bool) -> httpcore2.AsyncConnectionPool:
        """Connections are shared only by requests that may go equally far inwards."""
        pool = self._pools.get((reach, proxy, tls))
        if pool is None:
            if tls and self._tls is None:  # a few MiB of certificates, which plain HTTP does not need
                self._tls = httpcore2.default_ssl_context()
            pool = self._pools[reach, proxy, tls] = httpcore2.AsyncConnectionPool(
                ssl_context=self._tls,
                proxy=_library_proxy(proxy, self._tls) if proxy is not None else None,
                max_connections=_CONNECTIONS,
                keepalive_expiry=_KEPT_S,
                network_backend=GuardedBackend(resolve=self._resolve, locate=self._locate, reach=reach),
            )
        return pool

    def _locate_literal(self, host: str) -> Place:
        """Where a host is that a proxy connects to: what its text says; a name is the proxy's to judge."""
        if host == "localhost" or host.endswith(".localhost"):
            return Place.LOOPBACK
        is_numeric = ":" in host or host.rpartition(".")[2].isdecimal()
        return self._locate(host) if is_numeric else Place.PUBLIC


def _library_proxy(proxy: Proxy, tls: ssl.SSLContext | None) -> httpcore2.Proxy:
    url = httpcore2.URL(scheme=proxy.origin.scheme, host=proxy.origin.host, port=proxy.origin.port, target="/")
    auth = (proxy.username.encode(), proxy.password.encode()) if proxy.username or proxy.password else None
    return httpcore2.Proxy(url, auth, ssl_context=tls if proxy.origin.scheme == "https" else None)
