"""What a real guest reaches with `--nat`, on a host that lives in a small internet of its own (network_world.py).

The oracle is what the services on forbidden addresses have seen.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.contract import network_world as net
from tests.world import World

missing = [name for name in ("ip", "nsenter", "passt") if shutil.which(name) is None]
pytestmark = [
    pytest.mark.vm,
    pytest.mark.timeout(600),
    pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces are made by root"),
    pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}"),
]


class WorldInside(World):
    """A banger on the host of the small internet."""

    inhabitant: net.Inhabitant

    @property
    def command(self) -> list[str]:
        return ["nsenter", f"--target={self.inhabitant.pid}", "--net", "--mount", *super().command]


@pytest.fixture
def internet() -> Iterator[net.World]:
    directory = Path(tempfile.mkdtemp(prefix="banger-network-"))
    with net.World(directory) as world:
        world.outside.do("serve_tcp", address="0.0.0.0", port=80)
        world.outside.do("serve_dns", address=net.RESOLVER)
        world.host.do("serve_tcp", address="0.0.0.0", port=80)
        yield world
    shutil.rmtree(directory)


@pytest.fixture
def inside(tmp_path: Path, prepared_cache: Path, internet: net.World) -> Iterator[WorldInside]:
    world = WorldInside(tmp_path / "n", cache=prepared_cache)
    world.inhabitant = internet.host
    world.root.mkdir()
    yield world
    for vm in world.vms():
        world.succeed("vm", "delete", vm["name"])
    world.check_nothing_left()
    world.end()


def reach(address: str, port: int = 80) -> str:
    """A line of shell that prints what a service says first, or `nothing`."""
    return f"timeout 10 bash -c 'exec 3<>/dev/tcp/{address}/{port} && head -n 1 <&3' 2>/dev/null || echo nothing"


def test_outward_and_nowhere_else(inside: WorldInside, internet: net.World) -> None:
    inside.succeed("vm", "run", "-d", "--name", "out", "--nat")
    script = f"""
        {reach(net.INTERNET)}
        echo 'send 20000000' | timeout 120 bash -c 'exec 3<>/dev/tcp/{net.INTERNET}/80; cat >&3; cat <&3' | wc -c
        getent hosts a.example.com
        ip -4 -brief address show eth0
        cat /sys/class/net/eth0/mtu /etc/resolv.conf
    """
    said = inside.succeed("vm", "exec", "out", "--", "sh", "-c", script).decode().splitlines()
    assert said[0] == "tcp 0.0.0.0:80"
    assert int(said[1]) == 20_000_000 + len("tcp 0.0.0.0:80\n")
    assert said[2].split()[0] == "eth0"
    assert said[3:] == ["65520", "nameserver 10.0.2.3"]
    allowed = internet.outside.do("seen")
    assert f"dns udp {net.RESOLVER}" in allowed

    forbidden = (net.HOST, net.HOST_LAN, net.LAN_NEIGHBOUR, net.METADATA, "10.0.2.2", "10.0.2.3", "127.0.0.1")
    script = "\n".join(reach(address) for address in forbidden)
    assert inside.succeed("vm", "exec", "out", "--", "sh", "-c", script).split() == [b"nothing"] * len(forbidden)
    assert internet.host.do("seen") == []
    assert internet.outside.do("seen") == allowed
    (vm,) = inside.vms()
    log = (inside.state / "vms" / vm["id"] / "network.log").read_text()
    assert "refused (the host itself): TCP port 80" in log
    assert "refused (link-local, where clouds keep their metadata): TCP port 80" in log

    # A daemon that dies takes no network along, and a machine that is stopped and started has one again.
    pid = inside.daemon_pid()
    assert pid is not None
    os.kill(pid, 9)
    assert inside.succeed("vm", "exec", "out", "--", "sh", "-c", reach(net.INTERNET)) == b"tcp 0.0.0.0:80\n"
    inside.succeed("vm", "stop", "out")
    inside.succeed("vm", "start", "out")
    assert inside.succeed("vm", "exec", "out", "--", "sh", "-c", reach(net.INTERNET)) == b"tcp 0.0.0.0:80\n"


def test_without_nat_the_guest_reaches_nobody(inside: WorldInside, internet: net.World) -> None:
    addresses = (net.INTERNET, net.HOST, net.METADATA, "10.0.2.2")
    script = "\n".join(reach(address) for address in addresses)
    assert inside.succeed("vm", "run", "--rm", "--", "sh", "-c", script).split() == [b"nothing"] * len(addresses)
    assert internet.host.do("seen") == []
    assert internet.outside.do("seen") == []


def test_a_host_without_a_way_out_says_so(inside: WorldInside, internet: net.World) -> None:
    internet.host.ip("route del default")
    refused = inside.banger("vm", "run", "--rm", "--nat", "--", "true")
    assert refused.returncode not in (0, 1)
    assert b"network" in refused.stderr
    inside.check_nothing_left()
