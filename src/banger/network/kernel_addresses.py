"""The IPv4 addresses that this host answers for, as the kernel knows them: its routes of type local (rtnetlink(7)).

Better than the addresses of interfaces, because whole networks can be local (`ip route add local ...`).
"""

from __future__ import annotations

import socket
import struct
import sys
from contextlib import suppress
from ipaddress import IPv4Network
from typing import Final

_NLMSG_ERROR: Final = 2
_NLMSG_DONE: Final = 3
_RTM_NEWROUTE: Final = 24
_RTM_GETROUTE: Final = 26
_NLM_F_REQUEST_DUMP: Final = 0x301
_RTMGRP_IPV4_ROUTE: Final = 0x40
_RTN_LOCAL: Final = 2
_RTA_DST: Final = 1
_SOL_NETLINK: Final = 270
_NETLINK_GET_STRICT_CHK: Final = 12
_HEADER: Final = struct.Struct("=IHHII")
_ROUTE: Final = struct.Struct("=BBBBBBBBI")
_ATTRIBUTE: Final = struct.Struct("=HH")


def parse_routes(data: bytes) -> tuple[list[IPv4Network], bool]:
    """Local networks in one datagram of a route dump, and whether the dump ends with it.

    Raises `OSError` when the kernel reports an error, `ValueError` when the datagram makes no sense.
    """
    found: list[IPv4Network] = []
    offset = 0
    while offset + _HEADER.size <= len(data):
        length, kind, _, _, _ = _HEADER.unpack_from(data, offset)
        if not _HEADER.size <= length <= len(data) - offset:
            raise ValueError("a netlink message with an impossible length")
        body = data[offset + _HEADER.size : offset + length]
        if kind == _NLMSG_DONE:
            return found, True
        if kind == _NLMSG_ERROR:
            raise OSError(-int.from_bytes(body[:4], sys.byteorder, signed=True), "the kernel does not list its routes")
        if kind == _RTM_NEWROUTE and (network := _local_network(body)) is not None:
            found.append(network)
        offset += (length + 3) & ~3
    return found, False


def _local_network(body: bytes) -> IPv4Network | None:
    if len(body) < _ROUTE.size:
        raise ValueError("a netlink route that is too short")
    family, prefix, _, _, _, _, _, kind, _ = _ROUTE.unpack_from(body)
    if family != socket.AF_INET or kind != _RTN_LOCAL:
        return None
    offset = _ROUTE.size
    while offset + _ATTRIBUTE.size <= len(body):
        length, name = _ATTRIBUTE.unpack_from(body, offset)
        if length < _ATTRIBUTE.size:
            raise ValueError("a netlink attribute with an impossible length")
        if name == _RTA_DST and length == _ATTRIBUTE.size + 4:
            return IPv4Network((body[offset + 4 : offset + 8], prefix), strict=False)
        offset += (length + 3) & ~3
    return IPv4Network("0.0.0.0/0") if prefix == 0 else None


def read_local_networks(*, timeout_s: float = 2.0) -> frozenset[IPv4Network]:
    """Ask the kernel. Raises `OSError` (`TimeoutError` included) or `ValueError`."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE) as connection:
        connection.settimeout(timeout_s)
        with suppress(OSError):  # Linux 4.20: the kernel then filters by type and does not walk a router's whole table
            connection.setsockopt(_SOL_NETLINK, _NETLINK_GET_STRICT_CHK, 1)
        request = _ROUTE.pack(socket.AF_INET, 0, 0, 0, 0, 0, 0, _RTN_LOCAL, 0)
        connection.send(_HEADER.pack(_HEADER.size + len(request), _RTM_GETROUTE, _NLM_F_REQUEST_DUMP, 1, 0) + request)
        networks: set[IPv4Network] = set()
        ended = False
        while not ended:
            found, ended = parse_routes(connection.recv(1 << 16))
            networks.update(found)
    return frozenset(networks)


def watch_routes() -> socket.socket:
    """A non-blocking socket that becomes readable when a route (and so a local address) has changed."""
    connection = socket.socket(
        socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, socket.NETLINK_ROUTE
    )
    connection.bind((0, _RTMGRP_IPV4_ROUTE))
    return connection


def drain(connection: socket.socket) -> None:
    """Throw away what a watching socket holds; losing messages does not matter, because everything is read anew."""
    with suppress(OSError):
        while connection.recv(1 << 16):
            pass
