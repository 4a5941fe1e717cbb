"""Where an IP address is, seen from this computer, and whether a server may send us there. Pure.

A registry that the user named may be anywhere. A server that a registry's answer named may not: else every registry
could have this computer send requests into the user's own network (server-side request forgery).
Sources: the IANA registries of special-purpose addresses (RFC 6890), RFC 4193, RFC 6052, RFC 3056, and the clouds' own
pages for the addresses of their metadata services.
"""

from __future__ import annotations

from enum import IntEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final


class Place(IntEnum):
    """From the outside inwards. As a limit it means: this place and those before it."""

    PUBLIC = 0
    PRIVATE = 1
    LOOPBACK = 2
    SPECIAL = 3
    """Link-local, where clouds keep their metadata; multicast; and what is not an address of a server."""


ANYWHERE: Final = Place.SPECIAL

_IPV4: Final = tuple(
    (IPv4Network(network), place)
    for network, place in (
        ("0.0.0.0/8", Place.SPECIAL),
        ("10.0.0.0/8", Place.PRIVATE),
        ("100.100.100.200/32", Place.SPECIAL),  # Alibaba Cloud's metadata
        ("100.64.0.0/10", Place.PRIVATE),
        ("127.0.0.0/8", Place.LOOPBACK),
        ("168.63.129.16/32", Place.SPECIAL),  # Azure's services
        ("169.254.0.0/16", Place.SPECIAL),
        ("172.16.0.0/12", Place.PRIVATE),
        ("192.0.0.0/24", Place.SPECIAL),
        ("192.0.2.0/24", Place.SPECIAL),
        ("192.88.99.0/24", Place.SPECIAL),
        ("192.168.0.0/16", Place.PRIVATE),
        ("198.18.0.0/15", Place.PRIVATE),
        ("198.51.100.0/24", Place.SPECIAL),
        ("203.0.113.0/24", Place.SPECIAL),
        ("224.0.0.0/4", Place.SPECIAL),
        ("240.0.0.0/4", Place.SPECIAL),
    )
)
_IPV6: Final = tuple(
    (IPv6Network(network), place)
    for network, place in (
        ("::1/128", Place.LOOPBACK),
        ("64:ff9b:1::/48", Place.PRIVATE),
        ("2001::/32", Place.SPECIAL),  # Teredo
        ("2001:db8::/32", Place.SPECIAL),
        ("2000::/3", Place.PUBLIC),
        ("fd00:ec2::254/128", Place.SPECIAL),  # the metadata of Amazon's cloud
        ("fc00::/7", Place.PRIVATE),
    )
)
# Prefixes with an IPv4 address inside, and how many bits are to the right of it.
_EMBEDDING: Final = (
    (IPv6Network("::ffff:0:0/96"), 0),
    (IPv6Network("64:ff9b::/96"), 0),
    (IPv6Network("2002::/16"), 80),
)


def place_of(address: str) -> Place:
    """The place of a numeric address; `SPECIAL` for anything else."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return Place.SPECIAL
    if isinstance(parsed, IPv6Address):
        for network, right_bits in _EMBEDDING:
            if parsed in network:
                parsed = IPv4Address(int(parsed) >> right_bits & 0xFFFFFFFF)
                break
    if isinstance(parsed, IPv4Address):
        return next((place for network, place in _IPV4 if parsed in network), Place.PUBLIC)
    return next((place for network, place in _IPV6 if parsed in network), Place.SPECIAL)


def reach_from(place: Place) -> Place:
    """How far inwards a server at `place` may send us: not further than where it is itself, and never to metadata."""
    return Place.PRIVATE if place == Place.SPECIAL else place
