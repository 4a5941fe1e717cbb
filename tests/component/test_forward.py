"""Ports of a guest on this computer. The fake guest shares this computer's loopback, so ports are told apart by number."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress

import pytest
from tests.component.fake_world import FakeWorld
from tests.component.test_life import until

RUN = ("vm", "run", "-d", "--no-workspace", "--name", "box")


@pytest.fixture
def box(fake_world: FakeWorld) -> FakeWorld:
    fake_world.succeed(*RUN)
    return fake_world


@pytest.fixture
def serve() -> Iterator[Callable[[Callable[[socket.socket], None]], int]]:
    """Starts servers; each gives its port."""
    with Listeners() as listeners:

        def start(handle: Callable[[socket.socket], None]) -> int:
            listener = socket.create_server(("127.0.0.1", 0))
            listeners.append(listener)
            threading.Thread(target=accept, args=(listener, handle), daemon=True).start()
            return int(listener.getsockname()[1])

        yield start


class Listeners(list[socket.socket]):
    def __enter__(self) -> Listeners:
        return self

    def __exit__(self, *_: object) -> None:
        for listener in self:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()


def accept(listener: socket.socket, handle: Callable[[socket.socket], None]) -> None:
    with suppress(OSError):
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=run, args=(connection, handle), daemon=True).start()


def run(connection: socket.socket, handle: Callable[[socket.socket], None]) -> None:
    with closing(connection), suppress(OSError):
        handle(connection)


def echo(connection: socket.socket) -> None:
    while data := connection.recv(65536):
        connection.sendall(data)


def answer_at_the_end(connection: socket.socket) -> None:
    """Answers when the client has closed its direction."""
    count = 0
    while data := connection.recv(65536):
        count += len(data)
    connection.sendall(b"%d" % count)


def forward(world: FakeWorld, *mappings: str) -> tuple[subprocess.Popen[bytes], list[int]]:
    process = world.start("vm", "forward", "box", "--json", *mappings)
    assert process.stdout is not None
    ports = [json.loads(process.stdout.readline())["host_port"] for _ in mappings]
    return process, ports


def end(process: subprocess.Popen[bytes]) -> bytes:
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    return errors


def send_all(connection: socket.socket, data: bytes) -> None:
    connection.sendall(data)
    connection.shutdown(socket.SHUT_WR)


def is_refused(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except ConnectionRefusedError:
        return True
    return False


def read_all(connection: socket.socket) -> bytes:
    received = b""
    while data := connection.recv(65536):
        received += data
    return received


def test_bytes_both_ways_and_each_direction_ends_by_itself(
    box: FakeWorld, serve: Callable[[Callable[[socket.socket], None]], int]
) -> None:
    process, (first, second) = forward(box, f"0:{serve(echo)}", f"0:{serve(answer_at_the_end)}")
    data = os.urandom(2_000_000)
    with socket.create_connection(("127.0.0.1", first)) as connection:
        sending = threading.Thread(target=send_all, args=(connection, data))
        sending.start()
        assert read_all(connection) == data
        sending.join()
    with socket.create_connection(("127.0.0.1", second)) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        assert read_all(connection) == b"2000000"
    assert end(process) == b""
    until(lambda: is_refused(first) and is_refused(second))


def test_a_client_that_does_not_read_delays_nobody(
    box: FakeWorld, serve: Callable[[Callable[[socket.socket], None]], int]
) -> None:
    def flood(connection: socket.socket) -> None:
        while True:
            connection.sendall(bytes(65536))

    process, (flooded, echoing) = forward(box, f"0:{serve(flood)}", f"0:{serve(echo)}")
    with socket.create_connection(("127.0.0.1", flooded)):
        for _ in range(10):
            with socket.create_connection(("127.0.0.1", echoing)) as connection:
                connection.sendall(b"hi")
                assert connection.recv(2) == b"hi"
    end(process)


def test_many_connections_at_once(box: FakeWorld, serve: Callable[[Callable[[socket.socket], None]], int]) -> None:
    process, (port,) = forward(box, f"0:{serve(answer_at_the_end)}")
    connections = [socket.create_connection(("127.0.0.1", port)) for _ in range(200)]
    for connection in connections:
        connection.sendall(b"x")
    for connection in connections:
        connection.shutdown(socket.SHUT_WR)
    assert [read_all(connection) for connection in connections] == [b"1"] * 200
    for connection in connections:
        connection.close()
    end(process)


def test_which_port_is_taken(box: FakeWorld, serve: Callable[[Callable[[socket.socket], None]], int]) -> None:
    port = serve(echo)
    process, (other,) = forward(box, str(port))  # the same number is in use: by the server itself
    assert other != port
    end(process)
    done = box.banger("vm", "forward", "box", f"{port}:{port}")
    assert done.returncode == 8
    assert b"is in use" in done.stderr
    assert b"hint: " in done.stderr
    process, (again,) = forward(box, f"{other}:{port}")
    assert again == other
    end(process)


def test_the_line_for_people(box: FakeWorld, serve: Callable[[Callable[[socket.socket], None]], int]) -> None:
    port = serve(echo)
    process = box.start("vm", "forward", "box", f"0:{port}")
    assert process.stdout is not None
    line = process.stdout.readline().decode()
    assert line.startswith("127.0.0.1:")
    assert line.endswith(f" -> box:{port}\n")
    end(process)


def test_a_port_where_nothing_listens(box: FakeWorld) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        closed = listener.getsockname()[1]
    process, (port,) = forward(box, f"0:{closed}")
    for _ in range(3):
        with socket.create_connection(("127.0.0.1", port)) as connection, suppress(ConnectionResetError):
            assert connection.recv(1) == b""
    errors = end(process).decode()
    assert errors == f"banger: nothing listens on port {closed} of the guest: a connection was refused\n"


def test_the_end_of_the_machine_ends_it(
    box: FakeWorld, serve: Callable[[Callable[[socket.socket], None]], int]
) -> None:
    process, (port,) = forward(box, f"0:{serve(echo)}")
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"hi")
        assert connection.recv(2) == b"hi"
        os.kill(box.vms()[0]["pid"], signal.SIGKILL)
        said, _ = process.communicate(timeout=60)
        assert process.returncode == 5
        assert json.loads(said)["error"]["summary"].startswith("the VM box has ended")
        with suppress(ConnectionResetError):
            assert connection.recv(1) == b""
    assert is_refused(port)
    until(lambda: box.vms()[0]["state"] == "stopped")
    assert box.banger("vm", "forward", "box", "80").returncode == 5


def test_refusals(box: FakeWorld) -> None:
    for words in (("0",), ("x",), ("1:2:3",), ("0.0.0.0:1:2",), ("80:",), (":80",), ("65536",), ("1:0",)):
        done = box.banger("vm", "forward", "box", *words)
        assert done.returncode == 2, words
        assert b"hint: " in done.stderr
