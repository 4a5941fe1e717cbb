"""A registry that misbehaves, others that it would like to talk to, and what must hold whatever it does.

Names are resolved to addresses of this computer, which the world calls public, private and so on.
"""

from __future__ import annotations

import base64
import hashlib
import json
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from tests.fakes.certificates import Authority
from tests.fakes.images import FakeImage, make_image, make_tar
from tests.fakes.registry_server import REPOSITORY, TOKEN, RegistryServer, replying
from tests.fakes.web_server import Handler, WebServer

from banger.core.config.registries import Mirror, Registry
from banger.core.errors import BangerError
from banger.image.blob_cache import BlobCache
from banger.image.fetching import FetchedImage, fetch_image
from banger.image.platforms import Platform
from banger.image.reference import parse_reference
from banger.image.registry.addresses import Place, place_of
from banger.image.registry.credentials import UserCredentials
from banger.image.registry.network import Network
from banger.image.registry.opening import assemble
from banger.image.registry.patience import Patience

USER, PASSWORD = "me", "password-canary-91c2"
BASIC = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
SECRETS = (PASSWORD, BASIC.removeprefix("Basic "), TOKEN)

ADDRESSES = {
    "registry.test": "127.0.0.10",
    "storage.test": "127.0.0.11",
    "login.test": "127.0.0.12",
    "inside.test": "127.0.0.20",
    "here.test": "127.0.0.30",
    "metadata.test": "127.0.0.40",
}
PLACES = {
    "127.0.0.10": Place.PUBLIC,
    "127.0.0.11": Place.PUBLIC,
    "127.0.0.12": Place.PUBLIC,
    "127.0.0.20": Place.PRIVATE,
    "127.0.0.40": Place.SPECIAL,
}
# Where time is not the point nobody waits for it, and nothing is late on a busy computer.
CALM = Patience(connect_s=60, answer_s=60, idle_s=60, document_s=60, attempts=3, backoff_s=0.01)
# Where it is, what is late is late soon; a proper answer that is late too leads to the same error.
HURRIED = replace(CALM, attempts=2, idle_s=0.4)
ANSWERING = replace(CALM, attempts=2, connect_s=0.2, answer_s=0.2)
DRIPPING = replace(CALM, attempts=2, rate_window_s=0.3, least_bytes=100_000, document_s=0.6)

LAYER = make_tar({"etc/motd": b"hello\n" * 40_000})


@dataclass
class World:
    """`server` is the registry; `strangers` are other servers, by name, which may be told no secret.

    `confidants` are those that may: the registry, and where a test says so others.
    """

    root: Path
    server: RegistryServer
    web: WebServer
    authority: Authority
    patience: Patience = CALM
    strangers: dict[str, WebServer] = field(default_factory=dict)
    confidants: list[WebServer] = field(default_factory=list)
    registries: dict[str, Registry] = field(default_factory=dict)
    named: str = ""
    addresses: dict[str, Sequence[str]] = field(default_factory=lambda: {n: [a] for n, a in ADDRESSES.items()})

    @property
    def image(self) -> FakeImage:
        return self.server.image

    @property
    def cache(self) -> BlobCache:
        return BlobCache(self.root / "blobs", check_space=lambda _path, *, needed_bytes: None)

    def log_in(self, *hosts: str, entry: dict[str, str] | None = None) -> None:
        """The user has credentials for these registries."""
        path = self.root / "home" / ".docker" / "config.json"
        path.parent.mkdir(parents=True)
        auth = {"auth": BASIC.removeprefix("Basic ")}
        path.write_text(json.dumps({"auths": dict.fromkeys(hosts or (self.named,), entry or auth)}))

    async def pull(self) -> FetchedImage:
        environment = {"HOME": str(self.root / "home")}
        network = Network(
            patience=self.patience,
            environment=environment,
            tls=self.authority.client,
            resolve=self._resolve,
            locate=lambda address: PLACES.get(address, place_of(address)),
        )
        credentials = UserCredentials(environment, helper_deadline_s=5)
        async with assemble(network, credentials, registries=self.registries, patience=self.patience) as client:
            reference = parse_reference(f"{self.named}/{REPOSITORY}:1")
            return await fetch_image(
                reference, Platform("linux", "amd64"), client=client, cache=self.cache, report=lambda _progress: None
            )

    async def _resolve(self, host: str, _port: int) -> Sequence[str]:
        if host.endswith(".test") and host not in self.addresses:
            raise OSError("no such host")
        return self.addresses.get(host, [host])

    def check(self) -> None:
        """What must hold afterwards: nothing wrong is in the cache, nobody was told what is not his."""
        for path in (self.root / "blobs" / "blobs").glob("*/*"):
            assert path.parent.name == "sha256"
            assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name
        told = [
            (name, request)
            for name, stranger in self.strangers.items()
            if stranger not in self.confidants
            for request in stranger.requests
            if "authorization" in request.headers
            or "cookie" in request.headers
            or any(secret in request.everything for secret in SECRETS)
        ]
        assert told == []


@dataclass(frozen=True)
class Case:
    """A misbehaviour. `error` is what the user gets, None if the image is there in spite of it."""

    name: str
    arrange: Callable[[World], None]
    error: type[BangerError] | None = None
    match: str = ""
    patience: Patience = CALM


async def run(case: Case, world: World) -> None:
    world.patience = case.patience
    case.arrange(world)
    if case.error is None:
        found = await world.pull()
        assert [layer.path.read_bytes() for layer in found.layers] == [layer.content for layer in world.image.layers]
    else:
        with pytest.raises(BangerError, match=case.match) as caught:
            await world.pull()
        assert type(caught.value) is case.error, repr(caught.value)
        check_words(caught.value)
    world.check()


def check_words(error: BangerError) -> None:
    """One printable line without secrets, and a hint."""
    assert error.hint
    for text in (error.summary, error.hint):
        assert text.isprintable(), text
        assert len(text) < 600
        assert not any(secret in text for secret in SECRETS)


@asynccontextmanager
async def plain_world(root: Path, authority: Authority) -> AsyncIterator[World]:
    """The registry has no TLS, as the user said; `elsewhere` has none either, and nobody said so."""
    server = RegistryServer(make_image(LAYER, packing=""), basic=BASIC)
    async with WebServer(server) as web, WebServer(replying(200, b"{}")) as elsewhere:
        yield World(
            root=root,
            server=server,
            web=web,
            authority=authority,
            strangers={"elsewhere": elsewhere},
            registries={web.host: Registry(web.host, plain_http=True)},
            named=web.host,
        )


@asynccontextmanager
async def tls_world(root: Path, authority: Authority) -> AsyncIterator[World]:
    """The registry and the others have names and TLS; `bare` is at the registry's address and has none."""
    server = RegistryServer(make_image(LAYER, packing=""), basic=BASIC)
    async with AsyncExitStack() as stack:

        async def serve(handler: Handler, name: str, tls: ssl.SSLContext | None) -> WebServer:
            return await stack.enter_async_context(WebServer(handler, address=ADDRESSES[name], tls=tls))

        web = await serve(server, "registry.test", authority.server)
        others = {
            name: await serve(replying(200, b"{}"), f"{name}.test", authority.server)
            for name in ("storage", "login", "inside", "here", "metadata")
        }
        others["bare"] = await serve(replying(200, b"{}"), "registry.test", None)
        yield World(
            root=root,
            server=server,
            web=web,
            authority=authority,
            strangers=others,
            named=f"registry.test:{web.port}",
        )


def url_of(world: World, stranger: str, scheme: str = "https") -> str:
    """The origin of another server."""
    name = "registry" if stranger == "bare" else stranger
    return f"{scheme}://{name}.test:{world.strangers[stranger].port}"


def mirror(world: World, host: str) -> None:
    """Let a mirror stand for the registry."""
    own = world.registries.get(world.named, Registry(world.named))
    world.registries[world.named] = own._replace(mirrors=(Mirror(host, ""),))
