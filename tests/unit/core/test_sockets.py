import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from banger.core.sockets import connect_unix, listen_unix


def test_paths_beyond_the_limit_of_the_kernel_work(tmp_path: Path) -> None:
    directory = tmp_path / ("d" * 120)
    directory.mkdir()
    path = directory / "s.sock"
    with listen_unix(path) as listener, connect_unix(path) as client:
        server, _ = listener.accept()
        with server:
            client.sendall(b"hello")
            assert server.recv(5) == b"hello"


@pytest.fixture
def no_umask() -> Iterator[None]:
    previous = os.umask(0)
    yield
    os.umask(previous)


@pytest.mark.usefixtures("no_umask")
def test_sockets_are_private_from_birth(tmp_path: Path) -> None:
    with listen_unix(tmp_path / "s.sock"):
        assert stat.S_IMODE((tmp_path / "s.sock").stat().st_mode) == 0o600


@pytest.mark.usefixtures("no_umask")
def test_what_other_threads_make_meanwhile_keeps_its_mode(tmp_path: Path) -> None:
    done = threading.Event()
    modes: set[int] = set()

    def make_directories() -> None:
        number = 0
        while not done.is_set():
            path = tmp_path / str(number)
            path.mkdir(mode=0o755)
            modes.add(stat.S_IMODE(path.stat().st_mode))
            path.rmdir()
            number += 1

    thread = threading.Thread(target=make_directories)
    thread.start()
    for number in range(500):
        with listen_unix(tmp_path / f"{number}.sock"):
            pass
    done.set()
    thread.join()
    assert modes == {0o755}
