"""What a guest reports about itself, parsed with only its form checked: the values are the guest's claim."""

from __future__ import annotations

import ipaddress
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from banger.core.untrusted import printable
from banger.guest.frames import Fields, find_number, find_text

_DECIMAL: Final = re.compile(r"[0-9]{1,15}(?:\.[0-9]{1,9})?")
_TCP_LISTEN: Final = "0A"
_UDP_BOUND: Final = "07"
LISTENER_LIMIT: Final = 256
INTERFACE_LIMIT: Final = 64
NUMBER_LIMIT: Final = 1 << 60  # beyond it nothing is true, and JSON readers stumble


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """A listening socket, and the process that has it (empty when unknown)."""

    protocol: str
    address: str
    port: int
    pid: int | None
    process: str


@dataclass(frozen=True, slots=True)
class Interface:
    """A network interface that is up, and an IPv4 address that it has."""

    name: str
    address: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestInfo:
    """Load averages, seconds since boot, bytes of memory and root file system, listeners, interfaces."""

    load: tuple[float, ...]
    uptime_s: float
    memory_total_bytes: int
    memory_available_bytes: int
    root_total_bytes: int
    root_free_bytes: int
    process_count: int
    kernel: str
    listeners: tuple[Listener, ...]
    interfaces: tuple[Interface, ...] = ()


def parse_info(fields: Fields) -> GuestInfo:
    """Parse an answer; whatever is missing or makes no sense becomes zero or empty."""
    memory = dict(_memory_lines(find_text(fields, 21, limit=8192)))
    block, blocks, free = _root(fields)
    owners = dict(_owners(fields))
    listeners: list[Listener] = []
    for tag, protocol, state in (
        (23, "tcp", _TCP_LISTEN),
        (24, "tcp6", _TCP_LISTEN),
        (25, "udp", _UDP_BOUND),
        (26, "udp6", _UDP_BOUND),
    ):
        listeners += _listeners(find_text(fields, tag, limit=8192), protocol, state, owners)
    return GuestInfo(
        load=tuple(_numbers(find_text(fields, 20), 3)),
        uptime_s=next(_numbers(find_text(fields, 22), 1), 0.0),
        memory_total_bytes=_plausible(memory.get("MemTotal", 0) * 1024),
        memory_available_bytes=_plausible(memory.get("MemAvailable", 0) * 1024),
        root_total_bytes=_plausible(block * blocks),
        root_free_bytes=_plausible(block * free),
        process_count=_plausible(find_number(fields, 28) or 0),
        kernel=printable(find_text(fields, 30, limit=128)),
        listeners=tuple(listeners[:LISTENER_LIMIT]),
        interfaces=tuple(_interfaces(fields)),
    )


def _plausible(number: int) -> int:
    return number if number <= NUMBER_LIMIT else 0


def _numbers(text: str, count: int) -> Iterator[float]:
    """Numbers as /proc prints them; `float` alone would also take `nan`, `inf` and `1e999`."""
    for word in text.split()[:count]:
        if _DECIMAL.fullmatch(word) is None:
            return
        yield float(word)


def _memory_lines(text: str) -> Iterator[tuple[str, int]]:
    for line in text.splitlines():
        words = line.split()
        if len(words) >= 2 and words[1].isdecimal() and len(words[1]) < 20:
            yield words[0].rstrip(":"), int(words[1])


def _root(fields: Fields) -> tuple[int, int, int]:
    for tag, value in fields:
        if tag == 29 and len(value) == 24:
            block, blocks, free = struct.unpack("<QQQ", value)
            return block, blocks, free
    return 0, 0, 0


def _owners(fields: Fields) -> Iterator[tuple[int, tuple[int, str]]]:
    for tag, value in fields:
        words = value.decode("utf-8", "replace").split(" ", 2) if tag == 27 else []
        if len(words) == 3 and words[0].isdecimal() and words[1].isdecimal():
            yield int(words[0][:20]), (int(words[1][:10]), printable(words[2], limit=32))


def _interfaces(fields: Fields) -> Iterator[Interface]:
    texts = [value.decode("utf-8", "replace") for tag, value in fields if tag == 31]
    for text in texts[:INTERFACE_LIMIT]:
        name, _, address = text.partition(" ")
        try:
            yield Interface(printable(name, limit=32), str(ipaddress.IPv4Address(address)))
        except ValueError:
            continue


def _listeners(text: str, protocol: str, state: str, owners: dict[int, tuple[int, str]]) -> Iterator[Listener]:
    for line in text.splitlines()[1:]:
        words = line.split()
        if len(words) < 10 or words[3] != state or not words[9].isdecimal():
            continue
        try:
            raw, _, port = words[1].partition(":")
            packed = bytes.fromhex(raw)
            # Each 32-bit word is printed in the machine's own byte order, which is little-endian on all we support.
            address = ipaddress.ip_address(b"".join(packed[i : i + 4][::-1] for i in range(0, len(packed), 4)))
            number = int(port, 16)
            if not 0 < number <= 65_535:
                continue
            pid, process = owners.get(int(words[9][:20]), (None, ""))
            yield Listener(protocol=protocol[:3], address=str(address), port=number, pid=pid, process=process)
        except ValueError:
            continue
