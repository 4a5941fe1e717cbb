"""Whether a server in a guest speaks HTTP: the questions, and what the first bytes of an answer mean. Pure.

The answer is a guest's: only its first bytes are looked at, and nothing of it is shown.
"""

from __future__ import annotations

import ipaddress
import re
import ssl
from contextlib import suppress
from typing import Final

ANSWER_BYTES: Final = 16
HTTP_REQUEST: Final = b"HEAD / HTTP/1.1\r\nHost: localhost\r\nUser-Agent: banger\r\nConnection: close\r\n\r\n"
_HTTP_ANSWER: Final = re.compile(rb"HTTP/1\.[01] ([1-5][0-9][0-9])\b")
_HANDSHAKE: Final = b"\x16\x03"  # record type and major version (RFC 8446, section 5.1)
_BAD_REQUEST: Final = b"400"


def speaks_http(answer: bytes) -> bool:
    """Whether the answer to `HTTP_REQUEST` begins as HTTP does."""
    return _HTTP_ANSWER.match(answer) is not None


def may_speak_tls(answer: bytes) -> bool:
    """Whether to ask for TLS after this answer to `HTTP_REQUEST`: servers of HTTPS call it a bad request."""
    match = _HTTP_ANSWER.match(answer)
    return match is None or match[1] == _BAD_REQUEST


def speaks_tls(answer: bytes) -> bool:
    """Whether the answer to a `tls_request` begins a handshake."""
    return answer.startswith(_HANDSHAKE)


def tls_request() -> bytes:
    """The first message of a client that wants HTTP over TLS; no byte of a guest ever reaches the TLS library."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["http/1.1"])
    outgoing = ssl.MemoryBIO()
    with suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost").do_handshake()
    return outgoing.read()


def address_to_ask(listening: str) -> str:
    """Where to connect, inside the guest, to reach a socket that listens on an address."""
    address = ipaddress.ip_address(listening)
    if not address.is_unspecified:
        return str(address)
    return "127.0.0.1" if address.version == 4 else "::1"


def url_of(scheme: str, address: str, port: int) -> str:
    """The URL of a server as programs in the guest use it."""
    host = f"[{address}]" if ":" in address else address
    default = {"http": 80, "https": 443}[scheme]
    return f"{scheme}://{host}/" if port == default else f"{scheme}://{host}:{port}/"
