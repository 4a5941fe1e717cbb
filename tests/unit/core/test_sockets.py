import os
import stat
from pathlib import Path

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


def test_sockets_are_private_from_birth(tmp_path: Path) -> None:
    previous = os.umask(0)
    try:
        with listen_unix(tmp_path / "s.sock"):
            assert stat.S_IMODE((tmp_path / "s.sock").stat().st_mode) == 0o600
    finally:
        os.umask(previous)
