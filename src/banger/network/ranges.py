"""Which IPv4 destinations no guest may reach, and looking an address up among them.

Sources: the IANA registry of special-purpose IPv4 addresses (RFC 6890 and its updates), the address registry for
multicast (RFC 5771), and the clouds' own pages for the addresses of their metadata services.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network
from typing import Final, Self


class Reason(StrEnum):
    """Why a frame was not passed on. The text is what the log says."""

    # the destination
    HOST = "the host itself"
    LOOPBACK = "loopback"
    THIS_NETWORK = "0.0.0.0/8"
    LINK_LOCAL = "link-local, where clouds keep their metadata"
    METADATA = "a cloud's metadata or control service"
    PRIVATE = "a private network"
    SPECIAL = "a special-purpose network"
    GATEWAY = "the guest's own gateway or subnet"
    MULTICAST = "multicast"
    BROADCAST = "broadcast"
    RESERVED = "reserved addresses"
    # the frame
    MALFORMED = "a malformed frame"
    SPOOFED = "a source address that is not the guest's"
    WRONG_STATION = "a frame for another station"
    FRAGMENT = "a fragment"
    IP_OPTIONS = "IP options"
    IPV6 = "IPv6"
    VLAN = "a VLAN tag"
    ARP = "ARP that is not a question of the guest"
    ETHERTYPE = "an unknown kind of frame"
    PROTOCOL = "an IP protocol that is not TCP, UDP or ICMP echo"


ALWAYS: Final[Mapping[str, Reason]] = {
    "0.0.0.0/8": Reason.THIS_NETWORK,
    "127.0.0.0/8": Reason.LOOPBACK,
    "169.254.0.0/16": Reason.LINK_LOCAL,
    "100.100.100.200/32": Reason.METADATA,  # Alibaba Cloud
    "168.63.129.16/32": Reason.METADATA,  # Azure: a public address, answered by the hypervisor
    "192.0.0.0/24": Reason.SPECIAL,  # IETF protocol assignments; Oracle Cloud has its services at 192.0.0.192
    "192.88.99.0/24": Reason.SPECIAL,  # 6to4 relay, withdrawn
    "224.0.0.0/4": Reason.MULTICAST,
    "240.0.0.0/4": Reason.RESERVED,
    "255.255.255.255/32": Reason.BROADCAST,
}
"""Never reachable, whatever the policy."""

INWARD: Final[Mapping[str, Reason]] = {
    "10.0.0.0/8": Reason.PRIVATE,
    "172.16.0.0/12": Reason.PRIVATE,
    "192.168.0.0/16": Reason.PRIVATE,
    "100.64.0.0/10": Reason.PRIVATE,  # carriers, and overlay networks between a user's machines
    "198.18.0.0/15": Reason.SPECIAL,  # benchmarks; some VPN clients keep their own machines here
}
"""The developer's own networks: reachable only by a policy that says so."""


@dataclass(frozen=True, slots=True)
class AddressTable:
    """Longest-prefix look-up: for each mask, the networks with that mask. Masks are sorted from the longest."""

    by_mask: tuple[tuple[int, Mapping[int, Reason]], ...]

    @classmethod
    def of(cls, networks: Iterable[tuple[IPv4Network, Reason]]) -> Self:
        """Build the table. Of two entries for the same network the first one stays."""
        masks: dict[int, dict[int, Reason]] = {}
        for network, reason in networks:
            masks.setdefault(int(network.netmask), {}).setdefault(int(network.network_address), reason)
        return cls(tuple(sorted(masks.items(), reverse=True)))

    def find(self, address: int) -> Reason | None:
        """The reason of the most specific network that holds `address` (as a number), or None."""
        for mask, networks in self.by_mask:
            reason = networks.get(address & mask)
            if reason is not None:
                return reason
        return None

    def __contains__(self, address: IPv4Address) -> bool:
        return self.find(int(address)) is not None


def forbidden_table(*, host: Iterable[IPv4Network], subnet: IPv4Network, allow_private: bool) -> AddressTable:
    """Everything a guest may not reach: the host's own addresses first, then its subnet, then the special ranges."""
    entries: list[tuple[IPv4Network, Reason]] = [(network, Reason.HOST) for network in host]
    entries.append((subnet, Reason.GATEWAY))
    ranges = dict(ALWAYS) if allow_private else {**ALWAYS, **INWARD}
    entries.extend((IPv4Network(text), reason) for text, reason in ranges.items())
    return AddressTable.of(entries)
