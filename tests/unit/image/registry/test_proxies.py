"""Which proxy is used for what."""

from __future__ import annotations

import pytest

from banger.core.errors import Invalid, Unsupported
from banger.image.registry.proxies import Proxy, choose_proxy
from banger.image.registry.urls import Origin, origin_of

HTTPS = Origin("https", "registry.example.com", 443)
PROXY = Proxy(origin_of("http", "proxy.example:3128"))


@pytest.mark.parametrize(
    ("environment", "proxy"),
    [
        ({}, None),
        ({"https_proxy": ""}, None),
        ({"http_proxy": "http://proxy.example:3128"}, None),
        ({"https_proxy": "http://proxy.example:3128"}, PROXY),
        ({"HTTPS_PROXY": "proxy.example:3128"}, PROXY),
        ({"https_proxy": "http://proxy.example:3128/", "HTTPS_PROXY": "http://other:1"}, PROXY),
        ({"all_proxy": "http://proxy.example:3128"}, PROXY),
        ({"ALL_PROXY": "http://proxy.example:3128", "no_proxy": "other.example"}, PROXY),
        (
            {"https_proxy": "https://me:p%40ss@proxy.example"},
            Proxy(origin_of("https", "proxy.example"), "me", "p@ss"),
        ),
        ({"https_proxy": "http://proxy.example:3128", "no_proxy": "*"}, None),
        ({"https_proxy": "http://proxy.example:3128", "no_proxy": "a, registry.example.com"}, None),
        ({"https_proxy": "http://proxy.example:3128", "NO_PROXY": "example.com"}, None),
        ({"https_proxy": "http://proxy.example:3128", "no_proxy": ".example.com"}, None),
        ({"https_proxy": "http://proxy.example:3128", "no_proxy": "*.example.com"}, None),
        ({"https_proxy": "http://proxy.example:3128", "no_proxy": "ample.com"}, PROXY),
        ({"https_proxy": "http://proxy.example:3128", "no_proxy": "example.com:443"}, None),
        ({"https_proxy": "http://proxy.example:3128", "no_proxy": "example.com:5000"}, PROXY),
        ({"https_proxy": "http://proxy.example:3128", "no_proxy": ",,"}, PROXY),
    ],
)
def test_the_proxy(environment: dict[str, str], proxy: Proxy | None) -> None:
    assert choose_proxy(HTTPS, environment) == proxy


@pytest.mark.parametrize(
    ("host", "no_proxy", "is_exempt"),
    [
        ("10.1.2.3", "10.0.0.0/8", True),
        ("11.1.2.3", "10.0.0.0/8", False),
        ("10.1.2.3", "10.1.2.3", True),
        ("::1", "::1", True),
        ("::1", "[::1]", True),
        ("::1", "[::1]:443", True),
        ("::1", "[::1]:80", False),
        ("fd00::1", "fd00::/8", True),
    ],
)
def test_addresses_without_a_proxy(host: str, no_proxy: str, is_exempt: bool) -> None:
    environment = {"https_proxy": "http://proxy.example:3128", "no_proxy": no_proxy}
    assert (choose_proxy(Origin("https", host, 443), environment) is None) == is_exempt


@pytest.mark.parametrize(
    "text", ["http://", "http://[::1", "http://a b", "http://me:secret-canary@a_b:1", "http://a:x"]
)
def test_a_variable_that_is_no_url(text: str) -> None:
    with pytest.raises(Invalid, match="https_proxy is not a URL") as caught:
        choose_proxy(HTTPS, {"https_proxy": text})
    assert "canary" not in f"{caught.value.summary}{caught.value.hint}"


def test_a_kind_of_proxy_that_we_do_not_speak_to() -> None:
    with pytest.raises(Unsupported, match="socks5"):
        choose_proxy(HTTPS, {"https_proxy": "socks5://a:1080"})


def test_a_password_is_not_shown() -> None:
    assert "secret" not in repr(Proxy(PROXY.origin, "me", "secret"))
