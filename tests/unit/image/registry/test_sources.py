"""Where images are, and where a registry may send us."""

from __future__ import annotations

import pytest

from banger.core.config.registries import Mirror, Registry
from banger.core.errors import Denied, Failed
from banger.image.reference import parse_reference
from banger.image.registry.addresses import ANYWHERE, Place
from banger.image.registry.sources import judge_origin, judge_realm, judge_redirect, plan_sources
from banger.image.registry.urls import origin_of, parse_url

REGISTRIES = {
    "docker.io": Registry("docker.io", (Mirror("mirror.example", "hub"), Mirror("10.0.0.1:5000", ""))),
    "10.0.0.1:5000": Registry("10.0.0.1:5000", plain_http=True),
    "inside.example": Registry("inside.example"),
}


def test_mirrors_come_first() -> None:
    sources = plan_sources(parse_reference("debian:12"), REGISTRIES)
    assert [(source.host, str(source.url("manifests", "12"))) for source in sources] == [
        ("mirror.example", "https://mirror.example/v2/hub/library/debian/manifests/12"),
        ("10.0.0.1:5000", "http://10.0.0.1:5000/v2/library/debian/manifests/12"),
        ("docker.io", "https://registry-1.docker.io/v2/library/debian/manifests/12"),
    ]
    (source,) = plan_sources(parse_reference("[::1]:5000/a"), REGISTRIES)
    assert str(source.url("blobs", "x")) == "https://[::1]:5000/v2/a/blobs/x"


HUB = plan_sources(parse_reference("debian"), {})[0]
PLAIN = plan_sources(parse_reference("10.0.0.1:5000/a"), REGISTRIES)[0]


@pytest.mark.parametrize(
    ("location", "peer", "reach", "limit"),
    [
        ("https://cdn.example/x", Place.PUBLIC, ANYWHERE, Place.PUBLIC),
        ("https://cdn.example/x", Place.PRIVATE, ANYWHERE, Place.PRIVATE),
        ("https://cdn.example/x", Place.LOOPBACK, ANYWHERE, Place.LOOPBACK),
        ("https://cdn.example/x", Place.SPECIAL, ANYWHERE, Place.PRIVATE),
        ("https://cdn.example/x", Place.LOOPBACK, Place.PUBLIC, Place.PUBLIC),
        ("https://inside.example/x", Place.PUBLIC, ANYWHERE, ANYWHERE),
        ("https://inside.example:444/x", Place.PUBLIC, ANYWHERE, Place.PUBLIC),
        ("/elsewhere", Place.PUBLIC, ANYWHERE, ANYWHERE),
        ("/elsewhere", Place.PUBLIC, Place.PUBLIC, Place.PUBLIC),
    ],
)
def test_how_far_inwards_a_redirect_may_go(location: str, peer: Place, reach: Place, limit: Place) -> None:
    url, found = judge_redirect(
        HUB.url("blobs", "x"), location, source=HUB, registries=REGISTRIES, peer=peer, reach=reach
    )
    assert found == limit
    assert url == parse_url(location, base=HUB.url("blobs", "x"))


def test_plain_http_only_where_the_user_said_so_of_both() -> None:
    other = origin_of("http", "10.0.0.1:5000")
    with pytest.raises(Denied, match="has no TLS"):
        judge_origin(other, source=HUB, registries=REGISTRIES, peer=Place.PUBLIC)
    mirror = plan_sources(parse_reference("a.example/x"), {"a.example": Registry("a.example", plain_http=True)})[0]
    assert judge_origin(other, source=mirror, registries=REGISTRIES, peer=Place.PUBLIC) == ANYWHERE
    with pytest.raises(Denied, match="has no TLS"):
        judge_origin(origin_of("http", "b.example"), source=mirror, registries=REGISTRIES, peer=Place.PUBLIC)


@pytest.mark.parametrize("has_secret", [True, False])
def test_realms(has_secret: bool) -> None:
    assert (
        str(judge_realm("https://auth.example/t?x=y", source=HUB, has_secret=has_secret))
        == "https://auth.example/t?x=y"
    )
    assert judge_realm("http://10.0.0.1:5000/t", source=PLAIN, has_secret=has_secret).target == "/t"
    assert judge_realm("https://10.0.0.1/t", source=PLAIN, has_secret=has_secret).target == "/t"
    with pytest.raises(Denied, match="has no TLS"):
        judge_realm("http://10.0.0.1:5001/t", source=PLAIN, has_secret=has_secret)
    with pytest.raises(Denied, match="has no TLS"):
        judge_realm("http://auth.example/t", source=HUB, has_secret=has_secret)
    with pytest.raises(Failed, match="log in at"):
        judge_realm("auth.example", source=HUB, has_secret=has_secret)


def test_without_tls_a_secret_stays_with_the_host() -> None:
    with pytest.raises(Denied, match="wants your credentials to be sent to https:"):
        judge_realm("https://auth.example/t", source=PLAIN, has_secret=True)
    assert judge_realm("https://auth.example/t", source=PLAIN, has_secret=False).target == "/t"
