"""Requests to a daemon as the command line makes them, without the command line's start-up time."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from tests.world import REPOSITORY, World

from banger.api import framing
from banger.api.client import Connection
from banger.cli.daemon import Daemon
from banger.core.errors import BangerError, Unavailable, error_of_kind
from banger.core.layout import layout_from_environment

FAKE_DAEMON = "tests.fakes.machineless"
REAL_DAEMON = "banger.daemon"
# No request of these proofs takes so long: one that does hangs, which no run may call a lost connection.
HANG_S = 240.0


class Hung(AssertionError):
    """A request without an answer."""


class Api:
    """One client of the daemon of `world`, which is started when it is not there. For the main thread only."""

    def __init__(self, world: World, *, module: str = FAKE_DAEMON) -> None:
        environment = {**world.environment, "PYTHONPATH": str(REPOSITORY)}
        self._layout = layout_from_environment(environment, uid=os.getuid())
        self._daemon = Daemon(layout=self._layout, environment=environment, argv=[sys.executable, "-m", module])

    @property
    def socket_path(self) -> Path:
        return self._layout.daemon_socket

    def ping(self) -> dict[str, Any]:
        answer: dict[str, Any] = self._get("/v1/ping")
        return answer

    def vms(self) -> list[dict[str, Any]]:
        listed: list[dict[str, Any]] = self._get("/v1/vms")["vms"]
        return listed

    def show(self, name: str) -> dict[str, Any]:
        with _Watched(self._connect()) as connection:
            (outcome,) = connection.post("/v1/vms/show", {"refs": [name]})["outcomes"]
        detail: dict[str, Any] = _good(outcome)["vm"]
        return detail

    def create(self, name: str, *, start: bool, memory_mib: int | None = None) -> None:
        self._follow("/v1/vms/create", {**spec(name, memory_mib), "start": start})

    def run_detached(self, name: str, *, memory_mib: int | None = None) -> None:
        request: dict[str, object] = {
            **spec(name, memory_mib),
            "path": None,
            "ephemeral": False,
            "detach": True,
            "command": None,
            "pty": None,
            "stdin": False,
            "environment": {},
        }
        self._stream("/v1/vms/run", request)

    def exec(self, name: str, *command: str) -> tuple[int, bytes]:
        """Run a command in `/`: its status and what it printed."""
        request: dict[str, object] = {
            "command": command,
            "environment": {},
            "cwd": "/",
            "user": None,
            "pty": None,
            "stdin": False,
        }
        return self._stream(f"/v1/vms/{name}/exec", request)

    def act(self, verb: str, ref: str, /, **arguments: object) -> dict[str, Any] | None:
        """One of the verbs that take several VMs, on one: its view afterwards. Raises what became of it."""
        outcome = self._follow(f"/v1/vms/{verb}", {"refs": [ref], **arguments})["outcomes"][0]
        view: dict[str, Any] | None = _good(outcome)["vm"]
        return view

    def change(self, name: str, *, new_name: str | None = None, vcpu: int | None = None) -> None:
        nothing = {"memory_mib": None, "disk_bytes": None, "nat": None, "ttl_s": None}
        self.act("set", name, name=new_name, vcpu=vcpu, **nothing)

    def _get(self, path: str) -> Any:
        with _Watched(self._connect()) as connection:
            return connection.get(path)

    def _follow(self, path: str, body: object) -> Any:
        with _Watched(self._connect()) as connection:
            return list(connection.follow(path, body))[-1]["result"]

    def _stream(self, path: str, request: object) -> tuple[int, bytes]:
        output = b""
        with _Watched(self._connect()) as connection:
            connection.open_stream(path, request)
            for frame, payload in connection.frames():
                if frame == framing.OUTPUT:
                    output += payload
                elif frame == framing.RESULT:
                    return json.loads(payload)["status"], output
        raise AssertionError("the stream ended without a result")

    def _connect(self) -> Connection:
        try:
            connected = self._daemon.connect()
        except BangerError as error:
            # It was killed while it started, or while it accepted.
            raise Unavailable(f"no daemon: {error.summary}") from error
        except OSError as error:
            raise Unavailable(f"no daemon: {error}") from error
        connected.settimeout(HANG_S)
        return Connection(connected)


class _Watched:
    """A connection that tells hanging from being lost, and a broken pipe from a defect."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._began_s = time.monotonic()

    def __enter__(self) -> Connection:
        return self._connection

    def __exit__(self, kind: object, error: BaseException | None, _traceback: object) -> None:
        self._connection.close()
        if error is not None and time.monotonic() - self._began_s >= HANG_S:
            raise Hung(f"no answer for {HANG_S:g} s") from error
        if isinstance(error, OSError):
            raise Unavailable("the connection to the daemon was lost") from error


def _good(outcome: dict[str, Any]) -> dict[str, Any]:
    """What became of one target. Raises its error."""
    if outcome["error"] is not None:
        raise error_of_kind(outcome["error"]["kind"], outcome["error"]["summary"])
    return outcome


def spec(name: str, memory_mib: int | None) -> dict[str, object]:
    """A small VM."""
    return {
        "name": name,
        "image": None,
        "vcpu": None,
        "memory_mib": memory_mib,
        "disk_bytes": None,
        "nat": False,
        "ttl_s": None,
    }
