"""Requests on real sockets: proxies, addresses that were looked at, and what is sent at all."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest
from tests.fakes.certificates import make_authority
from tests.fakes.registry_server import replying
from tests.fakes.web_server import Exchange, WebServer

from banger.core.errors import BangerError, Denied
from banger.image.registry.addresses import ANYWHERE, Place, place_of
from banger.image.registry.network import Network, Outgoing, resolve
from banger.image.registry.patience import Patience, Transient
from banger.image.registry.urls import parse_url

PATIENCE = Patience(connect_s=60, answer_s=60, idle_s=60, attempts=1)


async def nowhere(host: str, _port: int) -> Sequence[str]:
    raise AssertionError(f"{host} is the proxy's to resolve")


async def test_what_is_sent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing of the environment, .netrc or cookies."""
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password netrc-canary\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    async with WebServer(replying(200, b"hello", {"Set-Cookie": "a=b"})) as web:
        network = Network(patience=PATIENCE, environment={})
        for _ in range(2):
            outgoing = Outgoing(method="GET", url=parse_url(f"http://{web.host}/x?y"), headers=(("Accept", "a"),))
            async with network.send(outgoing) as answer:
                assert (answer.status, answer.peer, await answer.read(limit=5)) == (200, Place.LOOPBACK, b"hello")
        await network.aclose()
    assert [(request.method, request.target) for request in web.requests] == [("GET", "/x?y")] * 2
    for request in web.requests:
        assert sorted(request.headers) == ["accept", "accept-encoding", "host", "user-agent"]
        assert request.headers["host"] == web.host
        assert request.headers["accept-encoding"] == "identity"
        assert request.headers["user-agent"].startswith("banger/")


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_proxy(tmp_path: Path, scheme: str) -> None:
    """It gets the name to resolve, and its own password; over TLS nothing else."""
    authority = make_authority(tmp_path, ["registry.test"])
    inner = WebServer(replying(200, b"inside"), tls=authority.server if scheme == "https" else None)

    async def forward(exchange: Exchange) -> None:
        if exchange.request.method != "CONNECT":
            await exchange.reply(200, b"inside")
            return
        reader, writer = await asyncio.open_connection("127.0.0.1", inner.port)
        await exchange.raw(b"HTTP/1.1 200 Connected\r\n\r\n")
        own = exchange.writer
        source = own.transport.get_protocol()._stream_reader  # type: ignore[attr-defined]

        async def pump(from_: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
            with suppress(OSError):
                while data := await from_.read(65536):
                    to.write(data)
                    await to.drain()

        exchange.close()
        back = asyncio.create_task(pump(reader, own))
        try:
            await pump(source, writer)
        finally:
            back.cancel()
            writer.close()

    async with inner, WebServer(forward) as proxy:
        environment = {f"{scheme}_proxy": f"http://me:pw@{proxy.host}"}
        network = Network(patience=PATIENCE, environment=environment, tls=authority.client, resolve=_only_the_proxy)
        url = parse_url(f"{scheme}://registry.test/v2/")
        outgoing = Outgoing(method="GET", url=url, headers=(("Authorization", "Basic canary"),), reach=Place.PUBLIC)
        async with network.send(outgoing) as answer:
            assert await answer.read(limit=100) == b"inside"
            assert answer.peer == Place.PUBLIC
        await network.aclose()
    (told,) = proxy.requests
    assert told.headers["proxy-authorization"] == "Basic bWU6cHc="
    if scheme == "https":
        assert (told.method, told.target) == ("CONNECT", "registry.test:443")
        assert "canary" not in told.everything
        assert "proxy-authorization" not in inner.requests[0].headers
        assert inner.requests[0].headers["authorization"] == "Basic canary"
    else:
        assert (told.method, told.target) == ("GET", "http://registry.test:80/v2/")


async def _only_the_proxy(host: str, _port: int) -> Sequence[str]:
    assert host == "127.0.0.1", host
    return [host]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "a.localhost", "[::1]", "10.0.0.1", "169.254.169.254"])
async def test_a_proxy_is_not_sent_inside_either(host: str) -> None:
    network = Network(patience=PATIENCE, environment={"all_proxy": "http://127.0.0.1:1"}, resolve=nowhere)
    with pytest.raises(Denied, match="inside this computer or its network"):
        async with network.send(Outgoing(method="GET", url=parse_url(f"https://{host}/"), reach=Place.PUBLIC)):
            pass
    await network.aclose()


async def test_a_proxy_that_refuses() -> None:
    async with WebServer(replying(407)) as proxy:
        network = Network(patience=PATIENCE, environment={"https_proxy": f"http://{proxy.host}"})
        with pytest.raises(Transient) as caught:
            async with network.send(Outgoing(method="GET", url=parse_url("https://registry.test/"))):
                pass
        await network.aclose()
    assert "the proxy did not lead to https://registry.test: 407" in caught.value.error.summary
    assert "proxy variables" in caught.value.error.hint


async def test_the_address_that_was_looked_at_is_the_one_that_is_connected_to() -> None:
    """A name that changes its mind between two questions wins nothing."""
    answers = [["127.0.0.1"], ["10.0.0.1"]]

    async def changing(_host: str, _port: int) -> Sequence[str]:
        return answers.pop(0)

    async with WebServer(replying(200)) as web:
        network = Network(
            patience=PATIENCE,
            environment={},
            resolve=changing,
            locate=lambda address: Place.PUBLIC if address == "127.0.0.1" else place_of(address),
        )
        url = parse_url(f"http://registry.test:{web.port}/")
        async with network.send(Outgoing(method="GET", url=url, reach=Place.PUBLIC)) as answer:
            assert answer.status == 200
        await network.aclose()
    assert answers == [["10.0.0.1"]]


async def test_a_connection_inside_is_not_shared_with_who_may_not_go_there() -> None:
    async with WebServer(replying(200)) as web:
        network = Network(patience=PATIENCE, environment={})
        url = parse_url(f"http://{web.host}/")
        async with network.send(Outgoing(method="GET", url=url, reach=ANYWHERE)) as answer:
            await answer.read(limit=1)
        with pytest.raises(Denied):
            async with network.send(Outgoing(method="GET", url=url, reach=Place.PRIVATE)):
                pass
        await network.aclose()


async def test_names_are_resolved_by_the_system() -> None:
    assert await resolve("127.0.0.1", 80) == ["127.0.0.1"]
    assert set(await resolve("localhost", 80)) <= {"127.0.0.1", "::1"}


async def test_a_second_address_helps_when_the_first_does_not() -> None:
    async def two(_host: str, _port: int) -> Sequence[str]:
        return ["127.0.0.9", "127.0.0.1"]

    async with WebServer(replying(200)) as web:
        network = Network(patience=PATIENCE, environment={}, resolve=two)
        async with network.send(Outgoing(method="GET", url=parse_url(f"http://a.test:{web.port}/"))) as answer:
            assert answer.status == 200
        await network.aclose()


def test_errors_are_ours() -> None:
    assert not issubclass(Transient, BangerError)
