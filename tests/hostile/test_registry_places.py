"""Registries that would like us to go elsewhere, or to tell others what is for them alone, each by name."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from tests.fakes.images import make_image
from tests.fakes.registry_server import REPOSITORY, TOKEN, RegistryServer, once, replying, send_blob
from tests.fakes.web_server import Exchange, Handler, WebServer
from tests.hostile.registry_world import BASIC, CALM, LAYER, PASSWORD, Case, World, mirror, run, url_of

from banger.core.config.registries import Registry
from banger.core.errors import BangerError, Denied, Failed

Arrange = Callable[[World], None]


def redirecting(location: str) -> Handler:
    return replying(307, headers={"Location": location})


def to(find: Callable[[World], str], kind: str = "layer") -> Arrange:
    """What is asked for is elsewhere. The user has credentials, and used them."""

    def arrange(world: World) -> None:
        world.log_in()
        world.server.login = "basic"
        world.server.instead[kind] = redirecting(find(world))

    return arrange


def place(stranger: str, scheme: str = "https", kind: str = "layer") -> Arrange:
    return to(lambda world: url_of(world, stranger, scheme) + "/x", kind)


def text(location: str) -> Arrange:
    return to(lambda _world: location)


def stored_at(stranger: str, *, named: bool = False, signed: str = "") -> Arrange:
    """Another server has the layers, as those of many registries are elsewhere."""

    def arrange(world: World) -> None:
        to(lambda world: url_of(world, stranger) + f"/x{signed}")(world)
        blob = world.image.layers[0]

        async def send(exchange: Exchange) -> None:
            await send_blob(exchange, blob)

        world.strangers[stranger].handler = send
        if named:
            authority = url_of(world, stranger).removeprefix("https://")
            world.registries[authority] = Registry(authority)

    return arrange


def bearer(realm: Callable[[World], str], *, logged_in: bool = True) -> Arrange:
    """The registry wants a token from there."""

    def arrange(world: World) -> None:
        if logged_in:
            world.log_in()
        world.server.login, world.server.realm = "bearer", realm(world)

    return arrange


def own_realm(world: World) -> str:
    scheme = "https" if world.web.tls else "http"
    return f"{scheme}://{world.named}/token"


def token(handler: Handler) -> Arrange:
    """The registry makes its tokens itself, and badly."""

    def arrange(world: World) -> None:
        bearer(own_realm)(world)
        world.server.instead["token"] = handler

    return arrange


def challenge(text: str | None, *, logged_in: bool = True) -> Arrange:
    def arrange(world: World) -> None:
        if logged_in:
            world.log_in()
        world.server.login, world.server.challenge = "basic", text

    return arrange


def refusing_always(text: str) -> Arrange:
    """Whatever it is told, it wants a login."""

    def arrange(world: World) -> None:
        world.log_in()
        refuse = replying(401, headers={"WWW-Authenticate": text.replace("REALM", own_realm(world))})
        world.server.instead.update(dict.fromkeys(("head", "manifest"), refuse))

    return arrange


def refusing_blobs(world: World) -> None:
    """Welcome at first, and not any more."""
    world.log_in()
    world.server.login = "basic"
    world.server.instead["layer"] = replying(401, headers={"WWW-Authenticate": 'Basic realm="again"'})


def storage_wants_login(world: World) -> None:
    place("storage")(world)
    header = {"WWW-Authenticate": f'Bearer realm="{url_of(world, "login")}/token"'}
    world.strangers["storage"].handler = replying(401, b"{}", header)


def storage_wants_password(world: World) -> None:
    place("storage")(world)
    world.strangers["storage"].handler = replying(401, b"{}", {"WWW-Authenticate": 'Basic realm="x"'})


def away_and_back(world: World) -> None:
    """The registry sends us away, and the other one back: what comes back is not ours any more."""
    place("storage")(world)
    back = f"https://{world.named}/v2/{REPOSITORY}/blobs/{world.image.layers[0].digest}?back"
    world.strangers["storage"].handler = redirecting(back)
    away = world.server.instead["layer"]

    async def send(exchange: Exchange) -> None:
        if "?back" in exchange.request.target:
            assert "authorization" not in exchange.request.headers
            await world.server.properly(exchange)
        else:
            await away(exchange)

    world.server.instead["layer"] = send


def circle(world: World) -> None:
    place("storage")(world)
    world.strangers["storage"].handler = redirecting(url_of(world, "login"))
    world.strangers["login"].handler = redirecting(url_of(world, "storage"))


def chain_inside(world: World) -> None:
    """Through a public server, which has no more rights than the registry."""
    place("storage")(world)
    world.strangers["storage"].handler = redirecting(url_of(world, "inside"))


def two_locations(world: World) -> None:
    world.log_in()
    world.server.login = "basic"

    async def send(exchange: Exchange) -> None:
        places = "".join(f"Location: {url_of(world, name)}\r\n" for name in ("storage", "login"))
        await exchange.raw(f"HTTP/1.1 307 X\r\n{places}Content-Length: 0\r\n\r\n".encode())

    world.server.instead["layer"] = send


def name_of_two_places(world: World) -> None:
    """A public name that has a private address too: the public one is taken."""
    stored_at("storage")(world)
    world.addresses["storage.test"] = ["127.0.0.20", "127.0.0.11"]


def name_turns_inside(world: World) -> None:
    """A public name, and at the second look a private one."""
    place("storage")(world)
    world.strangers["storage"].handler = redirecting(url_of(world, "storage") + "/again")
    world.addresses["storage.test"] = ["127.0.0.20"]


def realm_of_registry_tokens(world: World) -> None:
    world.log_in(entry={"registrytoken": TOKEN})
    world.server.login, world.server.realm = "bearer", url_of(world, "login")


TLS_CASES = [
    # to good places
    Case("layers are elsewhere", stored_at("storage")),
    Case("layers are elsewhere, with a signature", stored_at("storage", signed="?sig=" + "a" * 4000)),
    Case("layers are inside, and the user said so", stored_at("inside", named=True)),
    Case("a name that is public and private", name_of_two_places),
    Case("away and back", away_and_back, Denied, "does not let me read"),
    # to bad ones
    Case("into this computer", place("here"), Denied, "is inside this computer"),
    Case("into the user's network", place("inside"), Denied, "is inside this computer or its network"),
    Case("to the cloud's metadata", place("metadata"), Denied, "is inside this computer"),
    Case("to 127.0.0.1", text("https://127.0.0.1/"), Denied, "is inside"),
    Case("to ::1", text("https://[::1]:8443/"), Denied, "is inside"),
    Case("to 127.0.0.1 in IPv6's words", text("https://[::ffff:127.0.0.1]/"), Denied, "is inside"),
    Case("to 127.0.0.1 through 6to4", text("https://[2002:7f00:1::]/"), Denied, "is inside"),
    Case("to 127.0.0.1 through NAT64", text("https://[64:ff9b::7f00:1]/"), Denied, "is inside"),
    Case("to 169.254.169.254", text("https://169.254.169.254/latest/meta-data/"), Denied, "is inside"),
    Case("to 0.0.0.0", text("https://0.0.0.0/"), Denied, "is inside"),
    Case("to 10.0.0.1", text("https://10.0.0.1/"), Denied, "is inside"),
    Case("to a link-local address", text("https://[fe80::1]/"), Denied, "is inside"),
    Case("to a multicast address", text("https://224.0.0.1/"), Denied, "is inside"),
    Case("to 2130706433", text("https://2130706433/"), Failed, "neither a name nor an IPv4 address"),
    Case("to 0x7f000001", text("https://0x7f000001/"), Failed, "neither a name nor an IPv4 address"),
    Case("to 127.1", text("https://127.1/"), Failed, "neither a name nor an IPv4 address"),
    Case("to 0177.0.0.1", text("https://0177.0.0.1/"), Failed, "neither a name nor an IPv4 address"),
    Case("inside in two steps", chain_inside, Denied, "is inside"),
    Case("to a name that turns inside", name_turns_inside, Denied, "is inside"),
    Case("down to plain HTTP", place("bare", "http"), Denied, "has no TLS"),
    Case("down to plain HTTP at home", to(lambda w: f"http://{w.named}/x"), Denied, "has no TLS"),
    Case("the manifest is inside", place("inside", kind="manifest"), Denied, "is inside"),
    Case("the question is inside", place("inside", kind="head"), Denied, "is inside"),
    # to no places
    Case("to a file", text("file:///etc/passwd"), Failed, "neither http nor https"),
    Case("to a socket", text("unix:///var/run/docker.sock"), Failed, "neither http nor https"),
    Case("to gopher", text("gopher://registry.test/"), Failed, "neither http nor https"),
    Case("with a user's name", text("https://registry.test@storage.test/"), Failed, "has a user name"),
    Case("with a password", text("https://a:b@storage.test/"), Failed, "has a user name"),
    Case("with a backslash", text("https://storage.test\\@registry.test/"), Failed, "not a proper URL"),
    Case("with a space", text("https://storage.test/a b"), Failed, "not a proper URL"),
    Case("with bytes that are no ASCII", text("https://storage.test/\xe9"), Failed, "not a proper URL"),
    Case("with 20,000 characters", text("https://storage.test/" + "a" * 20_000), Failed, "not a proper URL"),
    Case("to port 99999", text("https://storage.test:99999/"), Failed, "no usable port"),
    Case("to a host of dots", text("https://storage..test/"), Failed, "is not the name"),
    Case("to brackets without end", text("https://[::1/"), Failed, "sent us to"),
    Case("to an address with a zone", text("https://[fe80::1%25eth0]/"), Failed, "sent us to"),
    Case("to nowhere", to(lambda _world: ""), Failed, "not a proper URL"),
    Case("to itself", to(lambda w: f"https://{w.named}/v2/{REPOSITORY}/blobs/{w.image.layers[0].digest}"), Failed, "from place to place"),
    Case("round and round", circle, Failed, "from place to place"),
    Case("to two places", two_locations, Failed, "two different Location headers"),
    Case("away without a place", to(lambda _world: "x", kind="none"), None),
    # tokens
    Case("tokens from another place", bearer(lambda w: url_of(w, "login") + "/token")),
    Case("tokens from the registry", bearer(own_realm)),
    Case("tokens without a login", bearer(own_realm, logged_in=False)),
    Case("tokens over plain HTTP", bearer(lambda w: url_of(w, "bare", "http")), Denied, "has no TLS"),
    Case("tokens from inside", bearer(lambda w: url_of(w, "inside")), Denied, "is inside"),
    Case("tokens from this computer", bearer(lambda w: url_of(w, "here")), Denied, "is inside"),
    Case("tokens from the metadata", bearer(lambda w: url_of(w, "metadata")), Denied, "is inside"),
    Case("tokens from a file", bearer(lambda _: "file:///etc/passwd"), Failed, "neither http nor https"),
    Case("tokens from nowhere", bearer(lambda _: ""), Failed, "not a proper URL"),
    Case("tokens from a relative place", bearer(lambda _: "/token"), Failed, "neither http nor https"),
    Case("tokens with a user's name", bearer(lambda w: f"https://{w.named}@login.test/"), Failed, "has a user name"),
    Case("a token of one's own", realm_of_registry_tokens),
    Case("the storage wants a token", storage_wants_login, Denied, "does not give"),
    Case("the storage wants a password", storage_wants_password, Denied, "does not give"),
]  # fmt: skip

PLAIN_CASES = [
    Case("a password", challenge(None)),
    Case("no password", challenge(None, logged_in=False), Denied, "without a login"),
    Case("tokens from elsewhere over plain HTTP", bearer(lambda w: f"http://{w.strangers['elsewhere'].host}/token"), Denied, "has no TLS"),
    Case("tokens from elsewhere over TLS", bearer(lambda _: "https://login.test/token"), Denied, "wants your credentials to be sent"),
    Case("layers elsewhere over plain HTTP", to(lambda w: f"http://{w.strangers['elsewhere'].host}/x"), Denied, "has no TLS"),
    Case("401 to every password", refusing_always('Basic realm="x"'), Denied, "does not let me read"),
    Case("401 to every token", refusing_always('Bearer realm="REALM"'), Denied, "does not let me read"),
    Case("401 to the layer", refusing_blobs, Denied, "does not let me read"),
    Case("401 without a challenge", challenge(""), Denied, "does not let me read"),
    Case("a challenge of nonsense", challenge("=,=,\"x"), Failed, "make no sense"),
    Case("a challenge without an end", challenge('Bearer realm="http://x'), Failed, "make no sense"),
    Case("a challenge with a realm twice", challenge('Bearer realm="a",realm="b"'), Failed, "make no sense"),
    Case("a challenge of 60 KiB", challenge('Bearer realm="' + "a" * 60_000 + '"'), Failed, "make no sense"),
    Case("a challenge of 1000 schemes", challenge(", ".join(f"S{n} a=b" for n in range(1000))), Failed, "make no sense"),
    Case("only Negotiate", challenge("Negotiate"), Failed, "a login of a kind that banger does not know: negotiate"),
    Case("Negotiate or a password", challenge('Negotiate abc==, Basic realm="x"')),
    Case("no token", token(replying(200, b"{}")), Failed, "sent no usable token"),
    Case("a token with a line feed", token(replying(200, b'{"token":"a\\nX-Evil: 1"}')), Failed, "sent no usable token"),
    Case("a token of 100 KiB", token(replying(200, b'{"token":"' + b"a" * 100_000 + b'"}')), Failed, "sent no usable token"),
    Case("a token that is a number", token(replying(200, b'{"token":1}')), Failed, "malformed"),
    Case("a token without end", token(replying(200, b" " * 300_000)), Failed, "at most 256 KiB"),
    Case("a token in nonsense", token(replying(200, b"<html>")), Failed, "malformed"),
    Case("a token twice", token(replying(200, b'{"token":"a","token":"b"}')), Failed, "there twice"),
    Case("a token that lives for ever", token(replying(200, json.dumps({"token": TOKEN, "expires_in": 1e300}).encode()))),
    Case("a token that is dead already", token(replying(200, json.dumps({"access_token": TOKEN, "expires_in": -5}).encode()))),
    Case("tokens are elsewhere", token(redirecting("https://login.test/token")), Failed, "a secret goes nowhere else"),
    Case("no token for you", token(replying(401)), Denied, "does not let me read"),
    Case("no token today", token(replying(503)), Failed, "gave no token"),
    Case("a token at the second attempt", token(once(replying(503), replying(200, json.dumps({"token": TOKEN}).encode())))),
    Case("404 to everything", to(lambda _: "x", kind="none")),
]  # fmt: skip


@pytest.mark.parametrize("case", TLS_CASES, ids=lambda case: case.name)
async def test_a_registry_with_tls(case: Case, tls: World) -> None:
    await prepare(tls, case)
    await run(case, tls)
    for name in ("inside", "here", "metadata", "bare"):
        if "the user said so" not in case.name:
            assert tls.strangers[name].requests == []


@pytest.mark.parametrize("case", PLAIN_CASES, ids=lambda case: case.name)
async def test_a_registry_without_tls(case: Case, plain: World) -> None:
    await run(case, plain)
    assert plain.strangers["elsewhere"].requests == []


async def prepare(world: World, case: Case) -> None:
    """The one who makes tokens for the registry may know the password for it."""
    if case.name == "tokens from another place":
        world.strangers["login"].handler = replying(200, json.dumps({"token": TOKEN}).encode())
        world.confidants.append(world.strangers["login"])


async def test_an_identity_token_goes_to_the_realm_alone(tls: World) -> None:
    tls.log_in(entry={"identitytoken": PASSWORD})
    tls.server.login, tls.server.realm = "bearer", url_of(tls, "login") + "/token?a=b"
    login = tls.strangers["login"]
    login.handler = replying(200, json.dumps({"access_token": TOKEN}).encode())
    tls.confidants.append(login)
    await tls.pull()
    (request,) = login.requests
    assert (request.method, request.target) == ("POST", "/token?a=b")
    assert f"refresh_token={PASSWORD}" in request.body.decode()
    assert f"scope=repository%3A{REPOSITORY.replace('/', '%2F')}%3Apull" in request.body.decode()
    assert not any(PASSWORD in request.everything for request in tls.web.requests)
    tls.check()


async def test_the_scope_is_ours_whatever_the_registry_says(tls: World) -> None:
    tls.log_in()
    tls.server.login = "bearer"
    tls.server.challenge = f'Bearer realm="https://{tls.named}/token",scope="repository:other/secret:pull,push"'
    await tls.pull()
    (request,) = [request for request in tls.web.requests if request.path == "/token"]
    assert request.target == f"/token?scope=repository%3A{REPOSITORY.replace('/', '%2F')}%3Apull"
    assert request.headers["authorization"] == BASIC
    tls.check()


async def test_a_certificate_for_others(tls: World) -> None:
    tls.log_in()
    tls.addresses["wrong.test"] = tls.addresses["registry.test"]
    tls.named = tls.named.replace("registry.test", "wrong.test")
    with pytest.raises(Failed, match="is not trusted"):
        await tls.pull()
    assert tls.web.requests == []


async def test_a_certificate_of_nobody(tls: World, tmp_path_factory: pytest.TempPathFactory) -> None:
    from tests.fakes.certificates import make_authority

    other = make_authority(tmp_path_factory.mktemp("other"), ["registry.test"])
    tls.authority = other
    with pytest.raises(Failed, match="is not trusted") as caught:
        await tls.pull()
    assert "update-ca-certificates" in caught.value.hint
    assert tls.web.requests == []


async def test_no_tls_where_it_is_expected_names_the_setting(plain: World) -> None:
    plain.registries = {}
    with pytest.raises(Failed, match="does not speak TLS") as caught:
        await plain.pull()
    assert f'[registries."{plain.named}"] and plain_http = true' in caught.value.hint
    assert plain.web.requests == []


async def test_a_mirror_gets_nothing_of_the_registry_and_is_not_believed(plain: World) -> None:
    """It sends other bytes; the registry helps, and its password stays with it."""
    plain.log_in()
    plain.server.login = "basic"
    liar = RegistryServer(plain.image)
    for kind in ("config", "layer"):
        liar.instead[kind] = replying(200, b"wrong")
    async with WebServer(liar) as mirroring:
        plain.strangers["mirror"] = mirroring
        plain.registries[mirroring.host] = Registry(mirroring.host, plain_http=True)
        mirror(plain, mirroring.host)
        found = await plain.pull()
    assert found.digest == plain.image.manifest.digest
    assert [kind for kind in liar.asked if kind in ("head", "manifest", "config", "layer")] == liar.asked != []
    assert plain.server.asked.count("layer") >= 1
    plain.check()


async def test_a_mirror_that_is_away_does_not_matter_and_is_asked_once(plain: World) -> None:
    async def leave(exchange: Exchange) -> None:
        exchange.reset()

    async with WebServer(leave) as mirroring:
        plain.registries[mirroring.host] = Registry(mirroring.host, plain_http=True)
        mirror(plain, mirroring.host)
        await plain.pull()
        assert [request.method for request in mirroring.requests] == ["HEAD"] * CALM.attempts
    plain.check()


async def test_a_mirror_that_knows_enough_leaves_the_registry_alone(plain: World) -> None:
    good = RegistryServer(plain.image)
    async with WebServer(good) as mirroring:
        plain.registries[mirroring.host] = Registry(mirroring.host, plain_http=True)
        mirror(plain, mirroring.host)
        await plain.pull()
    assert plain.server.asked == []
    plain.check()


async def test_the_error_of_a_pull_with_mirrors_is_the_registrys(plain: World) -> None:
    async with WebServer(RegistryServer(make_image(LAYER), login="basic", basic=BASIC)) as mirroring:
        plain.registries[mirroring.host] = Registry(mirroring.host, plain_http=True)
        mirror(plain, mirroring.host)
        plain.server.instead["head"] = plain.server.instead["manifest"] = replying(404)
        with pytest.raises(BangerError, match=f"{plain.named} has no "):
            await plain.pull()


def test_they_are_many() -> None:
    names = [case.name for case in (*TLS_CASES, *PLAIN_CASES)]
    assert len(set(names)) == len(names) >= 60
