"""A small internet in three network namespaces: a host that runs the network, an outside, and a guest without a VM.

Every address is from the documentation ranges (RFC 5737) or private, and exists nowhere but in these namespaces.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

HOST = "198.51.100.2"
HOST_LAN = "10.99.0.1"
ROUTER = "198.51.100.1"
LAN_NEIGHBOUR = "10.99.0.2"
METADATA = "169.254.169.254"
INTERNET = "203.0.113.10"
RESOLVER = "198.51.100.53"

_PROGRAM = Path(__file__).with_name("network_inhabitant.py")
_SOURCES = Path(__file__).parents[2] / "src"


class Inhabitant:
    """A process in a network namespace (and mount namespace, for its own resolv.conf) of its own."""

    def __init__(self, name: str, *, resolv_conf: Path, python: str) -> None:
        self.name = name
        self._process = subprocess.Popen(
            [
                "unshare", "--net", "--mount", "--propagation", "private", "sh", "-c",
                'mount --bind "$0" /etc/resolv.conf && exec "$@"', str(resolv_conf), python, str(_PROGRAM),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(_SOURCES)},
        )  # fmt: skip
        self.do("run", argv=["ip", "link", "set", "lo", "up"])

    @property
    def pid(self) -> int:
        return self._process.pid

    def do(self, name: str, **arguments: Any) -> Any:
        """Have it done; the value, or `RuntimeError` with what went wrong there."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"do": name, **arguments}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        answer = json.loads(line) if line else {"error": "it ended"}
        if "error" in answer:
            raise RuntimeError(f"{self.name}: {name}: {answer['error']}")
        return answer["value"]

    def ip(self, *commands: str) -> None:
        for command in commands:
            self.do("run", argv=["ip", *command.split()])

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()


class World:
    """The three of them, wired. `host` and `outside` share a wire; `guest` has only what the network gives it."""

    def __init__(self, directory: Path, *, python: str = sys.executable) -> None:
        self.directory = directory
        self.python = python
        self.resolv_conf = directory / "resolv.conf"
        self.resolv_conf.write_text(f"nameserver {RESOLVER}\n")
        self.resolv_conf.chmod(0o644)
        self._inhabitants: list[Inhabitant] = []

    def __enter__(self) -> Self:
        try:
            self.host, self.outside, self.guest = map(self._settle, ("host", "outside", "guest"))
            self.host.ip(
                f"link add wire type veth peer name wire netns {self.outside.pid}",
                f"addr add {HOST}/24 dev wire",
                f"addr add {HOST_LAN}/24 dev wire",
                "link set wire up",
            )
            self.outside.ip(
                f"addr add {ROUTER}/24 dev wire",
                f"addr add {LAN_NEIGHBOUR}/24 dev wire",
                f"addr add {RESOLVER}/32 dev lo",
                f"addr add {INTERNET}/32 dev lo",
                f"addr add {METADATA}/32 dev lo",
                "link set wire up",
            )
            self.host.ip(f"route add default via {ROUTER}", f"route add {RESOLVER}/32 via {ROUTER}")
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def _settle(self, name: str) -> Inhabitant:
        inhabitant = Inhabitant(name, resolv_conf=self.resolv_conf, python=self.python)
        self._inhabitants.append(inhabitant)
        return inhabitant

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for inhabitant in self._inhabitants:
            inhabitant.close()
