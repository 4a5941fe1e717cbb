"""URLs: strict, because servers send them."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from banger.image.registry.urls import Origin, Url, origin_of, parse_url

BASE = Url(Origin("https", "a.example", 443), "/v2/x/blobs/y?z=1")


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("https://a.example", "https://a.example/"),
        ("https://A.example:443/x?y#z", "https://a.example/x?y"),
        ("http://a.example:8080/x", "http://a.example:8080/x"),
        ("https://[::1]:5000/", "https://[::1]:5000/"),
        ("HTTPS://a.example/", "https://a.example/"),
        ("/other?q=%20", "https://a.example/other?q=%20"),
        ("other", "https://a.example/v2/x/blobs/other"),
        ("../b", "https://a.example/v2/x/b"),
        ("//b.example/x", "https://b.example/x"),
        ("?sig=abc", "https://a.example/v2/x/blobs/y?sig=abc"),
    ],
)
def test_a_url(text: str, url: str) -> None:
    assert str(parse_url(text, base=BASE)) == url
    assert str(parse_url(url)) == url


@given(st.text(max_size=100) | st.text(alphabet="htps:/@.#?[]a1%\\", max_size=40))
def test_any_text_is_a_url_or_not(text: str) -> None:
    with suppress(ValueError):
        url = parse_url(text, base=BASE)
        assert url.origin.scheme in ("http", "https")
        assert url.target.startswith("/")
        assert "@" not in url.origin.authority
        assert parse_url(str(url)).origin == url.origin


def test_origins() -> None:
    assert origin_of("https", "a.example") == Origin("https", "a.example", 443)
    assert origin_of("http", "[::1]:5000") == Origin("http", "::1", 5000)
    assert origin_of("http", "[::1]").authority == "[::1]"
    assert origin_of("http", "a:443").authority == "a:443"
