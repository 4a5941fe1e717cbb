from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from banger.guest.web import address_to_ask, may_speak_tls, speaks_http, speaks_tls, tls_request, url_of


@pytest.mark.parametrize(
    ("answer", "http", "tls_next"),
    [
        (b"HTTP/1.1 200 OK\r", True, False),
        (b"HTTP/1.0 404 Not", True, False),
        (b"HTTP/1.1 400 Bad", True, True),
        (b"HTTP/1.1 999 \x1b[2J", False, True),
        (b"HTTP/1.1 2000 OK", False, True),
        (b"HTTP/2.0 200 OK", False, True),
        (b"SSH-2.0-OpenSSH", False, True),
        (b"\x15\x03\x01\x00\x02", False, True),
        (b"", False, True),
    ],
)
def test_what_an_answer_means(answer: bytes, http: bool, tls_next: bool) -> None:
    assert (speaks_http(answer), may_speak_tls(answer)) == (http, tls_next)


def test_tls_is_a_handshake() -> None:
    assert speaks_tls(tls_request())
    assert not speaks_tls(b"\x15\x03\x03\x00\x02\x02\x28")
    assert b"http/1.1" in tls_request()


@given(st.binary(max_size=64))
def test_any_bytes_are_judged(answer: bytes) -> None:
    assert speaks_http(answer) in (True, False)
    assert not (speaks_http(answer) and speaks_tls(answer))


def test_addresses_and_urls() -> None:
    assert [address_to_ask(one) for one in ("0.0.0.0", "::", "10.0.2.15", "::1")] == [
        "127.0.0.1",
        "::1",
        "10.0.2.15",
        "::1",
    ]
    assert url_of("http", "127.0.0.1", 8000) == "http://127.0.0.1:8000/"
    assert url_of("https", "::1", 443) == "https://[::1]/"
