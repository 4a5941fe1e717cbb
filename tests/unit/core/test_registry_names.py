"""Names of registries and repositories."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from banger.core.errors import Invalid
from banger.core.registry_names import parse_host, parse_registry_host, parse_repository


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("registry.example.com", "registry.example.com"),
        ("Registry.Example.com:5000", "registry.example.com:5000"),
        ("localhost", "localhost"),
        ("a", "a"),
        ("127.0.0.1:1", "127.0.0.1:1"),
        ("[::1]:5000", "[::1]:5000"),
        ("[2001:DB8:0::1]", "[2001:db8::1]"),
        ("docker.io", "docker.io"),
        ("index.docker.io", "docker.io"),
        ("registry-1.docker.io", "docker.io"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("a1", "a1"),
    ],
)
def test_a_host(text: str, host: str) -> None:
    assert parse_registry_host(text) == host
    assert parse_registry_host(host) == host


@pytest.mark.parametrize(
    "text",
    [
        "", ".", "a.", ".a", "a..b", "-a", "a-", "a_b", "a b", "a/b", "a@b", "user:pw@a", "a:", "a:0", "a:65536", "a:05",
        "a:5x", "a:5:5", "[::1", "::1", "[::1]x", "[::1%eth0]", "[]", "[1.2.3.4]", "1.2.3", "1.2.3.4.5", "256.1.1.1",
        "01.2.3.4", "127.1", "2130706433", "0x7f.1", "a.0x7f", "http://a", "a\n", "a\0", "\xe9", "\u0430", "a" * 64,
        ".".join(["a" * 63] * 5), "b\u3002a", "a:\uff15",
    ],
)  # fmt: skip
def test_no_host(text: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse_registry_host(text)
    assert caught.value.hint
    assert caught.value.summary.isprintable()


@given(st.text(max_size=300))
def test_any_text_is_a_host_or_not(text: str) -> None:
    with suppress(Invalid):
        host = parse_host(text)
        assert parse_host(host) == host
        assert host.isascii()
        assert host.isprintable()
        assert not set(host) & set("/@ %\\?#")


@pytest.mark.parametrize("text", ["a", "a/b/c", "a-b", "a--b", "a_b", "a__b", "a.b", "0/1", "a/b-c.d_e"])
def test_a_repository(text: str) -> None:
    assert parse_repository(text) == text


@pytest.mark.parametrize(
    "text",
    ["", "/", "a/", "/a", "a//b", "A", "a___b", "a..b", "a._b", "-a", "a-", "..", "a/../b", "a b", "a%2f", "a\n", "é", "a:b", "a" * 256],
)  # fmt: skip
def test_no_repository(text: str) -> None:
    with pytest.raises(Invalid):
        parse_repository(text)
