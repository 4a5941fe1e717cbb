"""One process that lives in one network namespace of a test and does there what it is told, a JSON line at a time.

Run by `network_world.py`; not a test itself. Its namespaces end with it.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import json
import os
import socket
import struct
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from banger.core.processes import ProcessIdentity
from banger.network.user import UserNetworks

_TUNSETIFF = 0x400454CA
_IFF_TAP_NO_PI = 0x0002 | 0x1000

loop = asyncio.new_event_loop()
seen: list[str] = []
wires: list[tuple[int, socket.socket]] = []


def run(argv: list[str]) -> str:
    done = subprocess.run(argv, check=False, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{argv}: {done.stderr.strip()}")
    return done.stdout


def serve_tcp(address: str, port: int) -> None:
    """Greets each client with what it was reached at, echoes until the client stops, or sends as much as asked."""
    listener = socket.create_server((address, port))
    label = f"tcp {address}:{port}"

    def talk(client: socket.socket) -> None:
        with client:
            client.sendall(f"{label}\n".encode())
            while data := client.recv(1 << 16):
                if data.startswith(b"send "):
                    left, block = int(data[5:]), bytes(1 << 18)
                    while left > 0:
                        client.sendall(block[: min(left, len(block))])
                        left -= len(block)
                    return
                client.sendall(data)

    def accept() -> None:
        while True:
            client, _ = listener.accept()
            seen.append(label)
            threading.Thread(target=talk, args=(client,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()


def serve_udp(address: str, port: int) -> None:
    """Answers each datagram with itself behind what it was reached at."""
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind((address, port))
    label = f"udp {address}:{port}"

    def answer() -> None:
        while True:
            data, peer = server.recvfrom(1 << 16)
            seen.append(label)
            server.sendto(label.encode() + b" " + data, peer)

    threading.Thread(target=answer, daemon=True).start()


def serve_dns(address: str) -> None:
    """Answers every question over UDP and TCP with itself and the answer bit set."""

    def reply(question: bytes) -> bytes:
        return question[:2] + bytes((question[2] | 0x80, question[3])) + question[4:]

    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind((address, 53))
    tcp = socket.create_server((address, 53))

    def answer_udp() -> None:
        while True:
            data, peer = udp.recvfrom(1 << 16)
            seen.append(f"dns udp {address}")
            udp.sendto(reply(data), peer)

    def answer_tcp() -> None:
        while True:
            client, _ = tcp.accept()
            with client:
                size = int.from_bytes(client.recv(2, socket.MSG_WAITALL), "big")
                answer = reply(client.recv(size, socket.MSG_WAITALL))
                seen.append(f"dns tcp {address}")
                client.sendall(len(answer).to_bytes(2, "big") + answer)

    for target in (answer_udp, answer_tcp):
        threading.Thread(target=target, daemon=True).start()


def try_tcp(address: str, port: int, timeout_s: float) -> str:
    """The greeting of a server, or the name of the error."""
    try:
        with socket.create_connection((address, port), timeout_s) as client:
            client.settimeout(timeout_s)
            return client.recv(200).decode().strip()
    except TimeoutError:
        return "timeout"
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error))


def try_udp(address: str, port: int, data: str, timeout_s: float, broadcast: bool = False) -> str:
    """The hex of an answer, or the name of the error."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(timeout_s)
        if broadcast:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        try:
            client.connect((address, port))
            client.send(bytes.fromhex(data))
            return client.recv(1 << 16).hex()
        except TimeoutError:
            return "timeout"
        except OSError as error:
            return errno.errorcode.get(error.errno or 0, str(error))


def ask_dns_tcp(address: str, question: str, timeout_s: float) -> str:
    data = bytes.fromhex(question)
    with socket.create_connection((address, 53), timeout_s) as client:
        client.settimeout(timeout_s)
        client.sendall(len(data).to_bytes(2, "big") + data)
        size = int.from_bytes(client.recv(2, socket.MSG_WAITALL), "big")
        return client.recv(size, socket.MSG_WAITALL).hex()


def echo(address: str, port: int, size: int) -> str:
    """Send `size` bytes to an echo server; `same` if they all come back."""
    data = os.urandom(size)
    with socket.create_connection((address, port), 10) as client:
        client.settimeout(20)
        while client.recv(1) != b"\n":
            pass
        threading.Thread(target=client.sendall, args=(data,), daemon=True).start()
        back = bytearray()
        while len(back) < size and (more := client.recv(1 << 16)):
            back += more
    return "same" if back == data else f"{len(back)} bytes, different"


def fetch(address: str, port: int, size: int) -> float:
    """Seconds that `size` bytes from a server take."""
    with socket.create_connection((address, port), 10) as client:
        while client.recv(1) != b"\n":
            pass
        began = time.monotonic()
        client.sendall(f"send {size}".encode())
        left, buffer = size, bytearray(1 << 20)
        while left > 0 and (count := client.recv_into(buffer)):
            left -= count
    if left:
        raise RuntimeError(f"{left} bytes are missing")
    return time.monotonic() - began


def push(address: str, port: int, size: int) -> float:
    """Seconds that sending `size` bytes to a server takes, until its last echoed byte is back."""
    began = time.monotonic()
    echo(address, port, size)
    return time.monotonic() - began


def plug_in(path: str, mac: str, address: str, gateway: str, mtu: int) -> None:
    """A tap device whose other end speaks QEMU's framing on the Unix socket `path`: a guest without a VM."""
    tap = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
    fcntl.ioctl(tap, _TUNSETIFF, struct.pack("16sH22x", b"eth0", _IFF_TAP_NO_PI))
    for command in (
        f"link set eth0 address {mac} mtu {mtu} txqueuelen 5000",
        f"addr add {address} dev eth0",
        "link set eth0 up",
        f"route add default via {gateway}",
    ):
        run(["ip", *command.split()])
    wire = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    wire.connect(path)
    wires.append((tap, wire))

    def outward() -> None:
        with suppress(OSError):
            while True:
                frame = os.read(tap, 1 << 17)
                wire.sendall(len(frame).to_bytes(4, "big") + frame)

    def inward() -> None:
        with suppress(OSError), wire.makefile("rb", 1 << 20) as stream:
            while header := stream.read(4):
                os.write(tap, stream.read(int.from_bytes(header, "big")))
        seen.append("wire ended")

    for target in (outward, inward):
        threading.Thread(target=target, daemon=True).start()


def inject(frames: list[str]) -> None:
    """Send frames as they are."""
    _, wire = wires[0]
    for frame in frames:
        data = bytes.fromhex(frame)
        wire.sendall(len(data).to_bytes(4, "big") + data)


def unplug() -> None:
    wires.pop()[1].shutdown(socket.SHUT_RDWR)


def become(uid: int) -> None:
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)


def start_network(directory: str, python: str, allow_private: bool) -> dict[str, Any]:
    """Start the real thing here. The identity of the relay."""
    where = Path(directory)

    async def begin() -> ProcessIdentity:
        networks = UserNetworks(python=python, allow_private=allow_private)
        return await networks.start(
            vm_id="test-vm",
            run_directory=where,
            socket=where / "network.sock",
            log=where / "network.log",
            traffic=where / "network.traffic",
        )

    identity = loop.run_until_complete(begin())
    return {"pid": identity.pid, "start_ticks": identity.start_ticks}


def main() -> None:
    """Answer requests `{"do": name, ...}` until standard input ends."""
    for line in sys.stdin:
        request = json.loads(line)
        name = request.pop("do")
        try:
            answer = {"value": list(seen) if name == "seen" else globals()[name](**request)}
        except Exception as error:  # noqa: BLE001  whatever it is, the test shall read it
            answer = {"error": f"{type(error).__name__}: {error}"}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
