"""What a guest can reach through the real relay and the real passt, as root and as an ordinary user.

The guest is the kernel's own TCP/IP in a namespace without a VM; see `network_world.py`. The oracle is what the
services on forbidden addresses have seen.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import struct
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from tests.contract.network_world import (
    HOST,
    HOST_LAN,
    INTERNET,
    LAN_NEIGHBOUR,
    METADATA,
    RESOLVER,
    ROUTER,
    World,
)

from banger.network.plan import DEFAULT_NETWORK as NETWORK
from banger.network.traffic import read_traffic

USER = 54321
QUESTION = "1234010000010000000000000161076578616d706c6503636f6d0000010001"
ANSWER = "1234810000010000000000000161076578616d706c6503636f6d0000010001"
SYSTEM_PYTHON = "/usr/bin/python3"

missing = [name for name in ("ip", "unshare", "passt", "prlimit") if shutil.which(name) is None]
pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces are made by root"),
    pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}"),
    pytest.mark.skipif(not Path("/dev/net/tun").exists(), reason="no /dev/net/tun"),
    pytest.mark.skipif(not Path(SYSTEM_PYTHON).exists(), reason="an ordinary user needs the system's Python"),
]


@dataclass
class Plugged:
    """A world whose guest has its network, and the process that gives it."""

    world: World
    run: Path
    relay: int

    @property
    def log(self) -> str:
        return (self.run / "network.log").read_text()

    def children(self) -> list[int]:
        """The relay and passt."""
        return inhabitants(namespace_of(self.world), but=self.world.host.pid)


def namespace_of(world: World) -> int:
    return os.stat(f"/proc/{world.host.pid}/ns/net").st_ino


def inhabitants(namespace: int, *, but: int = 0) -> list[int]:
    """The living processes in a network namespace."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal() or int(entry.name) == but:
            continue
        try:
            inside = (entry / "ns/net").stat().st_ino == namespace
            state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if inside and state != "Z":
            found.append(int(entry.name))
    return found


def eventually(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not what():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.02)


@pytest.fixture
def directory() -> Iterator[Path]:
    """Reachable for an ordinary user, unlike pytest's own directories."""
    path = Path(tempfile.mkdtemp(prefix="banger-network-"))
    path.chmod(0o711)
    yield path
    shutil.rmtree(path)


def plug(world: World, *, user: int = 0, allow_private: bool = False) -> Plugged:
    run = world.directory / "run"
    run.mkdir(mode=0o700)
    if user:
        os.chown(run, user, user)
        world.host.do("become", uid=user)
    identity = world.host.do("start_network", directory=str(run), python=SYSTEM_PYTHON, allow_private=allow_private)
    world.guest.do(
        "plug_in",
        path=str(run / "network.sock"),
        mac=NETWORK.guest_mac,
        address=str(NETWORK.address),
        gateway=str(NETWORK.gateway),
        mtu=NETWORK.mtu,
    )
    return Plugged(world, run, identity["pid"])


@pytest.fixture
def world(directory: Path) -> Iterator[World]:
    with World(directory, python=SYSTEM_PYTHON) as world:
        namespace = namespace_of(world)
        world.outside.do("serve_tcp", address="0.0.0.0", port=80)
        world.outside.do("serve_udp", address=INTERNET, port=99)
        for address in (METADATA, LAN_NEIGHBOUR, ROUTER):
            world.outside.do("serve_udp", address=address, port=99)
        world.outside.do("serve_dns", address=RESOLVER)
        world.host.do("serve_tcp", address="0.0.0.0", port=80)
        world.host.do("serve_udp", address="0.0.0.0", port=99)
        for address in (HOST, HOST_LAN):
            world.host.do("serve_udp", address=address, port=53)
        yield world
    eventually(lambda: inhabitants(namespace) == [])


@pytest.fixture(params=[0, USER], ids=["root", "user"])
def plugged(world: World, request: pytest.FixtureRequest) -> Plugged:
    return plug(world, user=request.param)


def test_outward_works_and_inward_does_not(plugged: Plugged) -> None:
    guest, host, outside = plugged.world.guest, plugged.world.host, plugged.world.outside
    assert guest.do("try_tcp", address=INTERNET, port=80, timeout_s=5) == "tcp 0.0.0.0:80"
    assert guest.do("try_tcp", address=INTERNET, port=81, timeout_s=5) == "ECONNREFUSED"
    assert guest.do("echo", address=INTERNET, port=80, size=3_000_000) == "same"
    answer = guest.do("try_udp", address=INTERNET, port=99, data="abcd", timeout_s=5)
    assert answer == f"udp {INTERNET}:99 ".encode().hex() + "abcd"
    assert guest.do("try_udp", address="10.0.2.3", port=53, data=QUESTION, timeout_s=5) == ANSWER
    assert guest.do("ask_dns_tcp", address="10.0.2.3", question=QUESTION, timeout_s=5) == ANSWER
    allowed = sorted(outside.do("seen"))

    forbidden = (HOST, HOST_LAN, LAN_NEIGHBOUR, METADATA, "10.0.2.2", "10.0.2.3", "10.0.2.99")
    for address in forbidden:
        assert guest.do("try_tcp", address=address, port=80, timeout_s=5) == "EHOSTUNREACH"
        assert guest.do("try_udp", address=address, port=99, data="00", timeout_s=5) == "EHOSTUNREACH"
    for address in (HOST, HOST_LAN, METADATA):
        assert guest.do("try_udp", address=address, port=53, data=QUESTION, timeout_s=5) == "EHOSTUNREACH"
    for address in ("255.255.255.255", "10.0.2.255", "224.0.0.251"):
        said = guest.do("try_udp", address=address, port=99, data="00", timeout_s=0.3, broadcast=True)
        assert said in ("timeout", "EHOSTUNREACH")
    assert host.do("seen") == []
    assert sorted(outside.do("seen")) == allowed
    assert "refused (the host itself)" in plugged.log


def test_traffic_is_counted_as_the_guest_counts_it(plugged: Plugged) -> None:
    guest = plugged.world.guest
    assert guest.do("echo", address=INTERNET, port=80, size=3_000_000) == "same"
    assert guest.do("try_tcp", address=HOST, port=80, timeout_s=5) == "EHOSTUNREACH"  # refused, and sent all the same

    def is_the_same() -> bool:
        (link,) = json.loads(guest.do("run", argv=["ip", "-json", "-stats", "link", "show", "eth0"]))
        counted = read_traffic(plugged.run / "network.traffic")
        return counted == (link["stats64"]["tx"]["bytes"], link["stats64"]["rx"]["bytes"])

    eventually(is_the_same)
    counted = read_traffic(plugged.run / "network.traffic")
    assert counted is not None
    assert min(counted) > 3_000_000


def packet(
    destination: str, *, source: str = "10.0.2.15", protocol: int = 17, port: int = 99, fragment: int = 0
) -> str:
    """A well-formed packet from the guest's station, as hex, for destinations that its own kernel would not send to."""
    payload = struct.pack("!HHHH", 4000, port, 12, 0) + b"data"
    if protocol == 6:
        payload = struct.pack("!HHIIBBHHH", 4000, 80, 1, 0, 5 << 4, 2, 1000, 0, 0)
    addresses = IPv4Address(source).packed + IPv4Address(destination).packed
    header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 7, fragment, 64, protocol, 0) + addresses
    total: int = sum(struct.unpack("!10H", header))
    total = (total & 0xFFFF) + (total >> 16)
    header = header[:10] + (~total & 0xFFFF).to_bytes(2, "big") + header[12:]
    macs = NETWORK.gateway_mac.replace(":", "") + NETWORK.guest_mac.replace(":", "")
    return macs + "0800" + (header + payload).hex()


def test_frames_that_no_kernel_would_send_reach_nobody(plugged: Plugged) -> None:
    guest, host, outside = plugged.world.guest, plugged.world.host, plugged.world.outside
    forbidden = ("127.0.0.1", "127.0.0.53", "0.0.0.0", HOST, HOST_LAN, METADATA, "10.0.2.2", "10.0.2.15")
    frames = [packet(address, protocol=protocol) for address in forbidden for protocol in (6, 17)]
    frames += [packet("127.0.0.1", port=53), packet(INTERNET, source=HOST), packet(INTERNET, fragment=0x2000)]
    frames += ["00" * 14, "ff" * 60, packet(INTERNET)[:60]]
    guest.do("inject", frames=frames)
    guest.do("inject", frames=[packet(INTERNET)])  # the last one is good: when it has arrived, the others were judged
    eventually(lambda: f"udp {INTERNET}:99" in outside.do("seen"))
    assert outside.do("seen") == [f"udp {INTERNET}:99"]
    assert host.do("seen") == []


def test_an_address_that_the_host_gains_closes_at_once(world: World) -> None:
    plugged = plug(world)
    guest, host = world.guest, world.host
    assert guest.do("try_tcp", address=INTERNET, port=80, timeout_s=5) == "tcp 0.0.0.0:80"
    host.ip(f"addr add {INTERNET}/32 dev lo")
    eventually(lambda: guest.do("try_tcp", address=INTERNET, port=80, timeout_s=5) == "EHOSTUNREACH")
    host.ip(f"addr del {INTERNET}/32 dev lo", "route add local 203.0.113.0/24 dev lo")
    eventually(lambda: guest.do("try_tcp", address="203.0.113.77", port=80, timeout_s=5) == "EHOSTUNREACH")
    assert guest.do("try_tcp", address=INTERNET, port=80, timeout_s=5) == "EHOSTUNREACH"
    assert plugged.relay in plugged.children()


def test_private_networks_only_when_allowed(world: World) -> None:
    plug(world, allow_private=True)
    assert world.guest.do("try_tcp", address=LAN_NEIGHBOUR, port=80, timeout_s=5) == "tcp 0.0.0.0:80"
    for address in (HOST_LAN, HOST, METADATA):
        assert world.guest.do("try_tcp", address=address, port=80, timeout_s=5) == "EHOSTUNREACH"
    assert world.host.do("seen") == []


def test_the_name_server_may_change_and_may_be_the_host_itself(world: World) -> None:
    plugged = plug(world)
    guest, host = world.guest, world.host
    host.do("serve_dns", address="127.0.0.53")
    assert guest.do("try_udp", address="10.0.2.3", port=53, data=QUESTION, timeout_s=5) == ANSWER
    world.resolv_conf.write_text("nameserver 127.0.0.53\noptions edns0\n")
    assert guest.do("try_udp", address="10.0.2.3", port=53, data=QUESTION, timeout_s=5) == ANSWER
    assert guest.do("ask_dns_tcp", address="10.0.2.3", question=QUESTION, timeout_s=5) == ANSWER
    assert host.do("seen") == ["dns udp 127.0.0.53", "dns tcp 127.0.0.53"]
    assert guest.do("try_tcp", address="127.0.0.53", port=53, timeout_s=1) == "ECONNREFUSED"  # its own loopback
    assert plugged.relay in plugged.children()


def test_when_the_vmm_goes_everything_goes(plugged: Plugged) -> None:
    assert len(plugged.children()) == 2
    plugged.world.guest.do("unplug")
    eventually(lambda: plugged.children() == [])
    assert "the VMM has gone" in plugged.log


def test_when_the_relay_is_killed_passt_goes_and_the_guest_is_told(plugged: Plugged) -> None:
    os.kill(plugged.relay, signal.SIGKILL)
    eventually(lambda: plugged.children() == [])
    eventually(lambda: "wire ended" in plugged.world.guest.do("seen"))


def test_when_passt_dies_the_relay_says_so_and_ends(plugged: Plugged) -> None:
    (passt,) = (pid for pid in plugged.children() if pid != plugged.relay)
    os.kill(passt, signal.SIGKILL)
    eventually(lambda: plugged.children() == [])
    assert "passt has gone" in plugged.log


def test_a_polite_end_takes_passt_along(plugged: Plugged) -> None:
    os.kill(plugged.relay, signal.SIGTERM)
    eventually(lambda: plugged.children() == [])
    assert "refused" in plugged.log


def test_the_wire_is_private(plugged: Plugged) -> None:
    for name in ("network.sock", "network.log", "network.traffic"):
        assert (plugged.run / name).stat().st_mode & 0o777 == 0o600


def test_nothing_listens_on_the_host(plugged: Plugged) -> None:
    listening = plugged.world.host.do("run", argv=["ss", "-Hltun"])
    local = sorted({line.split()[4] for line in listening.splitlines()})
    own = ["0.0.0.0:80", "0.0.0.0:99", f"{HOST}:53", f"{HOST_LAN}:53"]
    assert local == sorted(own), "more than the test's own services"


def test_without_a_way_out_it_is_refused_and_nothing_stays(world: World) -> None:
    world.host.ip("route del default")
    with pytest.raises(RuntimeError, match=r"Unavailable: .* could not be started: passt ended: .*routable"):
        plug(world)
    assert not (world.directory / "run/network.sock").exists()
    eventually(lambda: inhabitants(namespace_of(world), but=world.host.pid) == [])
