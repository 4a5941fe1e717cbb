"""The addresses of a guest's network and the command lines of the two processes behind it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, ip_address
from typing import Final

OPEN_FILES_LIMIT: Final = 4096
"""Every connection of the guest is a descriptor of passt: this bounds what a guest can cost the host's kernel."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestNetwork:
    """One guest on a network of its own. The same plan serves every VM, because no two share a wire."""

    address: IPv4Interface
    gateway: IPv4Address
    dns: IPv4Address
    guest_mac: str
    gateway_mac: str
    mtu: int


DEFAULT_NETWORK: Final = GuestNetwork(
    address=IPv4Interface("10.0.2.15/24"),
    gateway=IPv4Address("10.0.2.2"),
    dns=IPv4Address("10.0.2.3"),
    guest_mac="02:62:67:00:02:0f",
    gateway_mac="02:62:67:00:02:02",
    # The largest that passt takes: large frames make the relay's work per byte small, and the host's kernel cuts TCP
    # to what the path to the internet carries.
    mtu=65520,
)


def mac_bytes(mac: str) -> bytes:
    """`02:62:67:00:02:0f` as six bytes."""
    return bytes.fromhex(mac.replace(":", ""))


def passt_argv(network: GuestNetwork, *, fd: int, passt: str) -> tuple[str, ...]:
    """passt on the connected socket `fd`: IPv4 only, nothing listens on the host, the gateway is not the host.

    DHCP is off because the guest's address is seeded and passt would send what it cannot parse as DHCP on to the
    network. The name server option only keeps passt from reading the host's: names go through the relay.
    """
    return (
        "prlimit",
        f"--nofile={OPEN_FILES_LIMIT}:{OPEN_FILES_LIMIT}",
        "--core=0:0",
        "--",
        passt,
        "--foreground",
        "--fd",
        str(fd),
        "--ipv4-only",
        "--address",
        str(network.address.ip),
        "--netmask",
        str(network.address.network.prefixlen),
        "--gateway",
        str(network.gateway),
        "--mac-addr",
        network.gateway_mac,
        "--mtu",
        str(network.mtu),
        "--dns",
        str(network.dns),
        "--no-dhcp",
        "--no-map-gw",
        "--tcp-ports",
        "none",
        "--udp-ports",
        "none",
    )


def relay_argv(
    *,
    python: str,
    vm_id: str,
    listener: int,
    passt: int,
    passt_pidfd: int,
    passt_messages: int,
    traffic: int,
    allow_private: bool,
) -> tuple[str, ...]:
    """The relay on five inherited descriptors. `vm_id` is there to be found in the process table.

    `-S -P -s`: the relay needs the standard library and this package, neither site packages nor its working directory.
    """
    options: Sequence[str] = ("--allow-private",) if allow_private else ()
    return (
        python,
        "-S",
        "-P",
        "-s",
        "-m",
        "banger.network.relay",
        f"--vm={vm_id}",
        f"--listener={listener}",
        f"--passt={passt}",
        f"--passt-pidfd={passt_pidfd}",
        f"--passt-messages={passt_messages}",
        f"--traffic={traffic}",
        *options,
    )


def reaches_out(addresses: Iterable[str]) -> bool:
    """Whether one of the guest's own addresses (IPv4) belongs to more than the guest itself."""
    return any(not ip_address(address).is_loopback for address in addresses)
