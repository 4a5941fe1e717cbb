"""What the tests start instead of `banger.daemon`: says `ready`, or why not, and answers `GET /v1/vms` and a stop.

Its one argument says how it behaves. Each start adds a line to `starts` in the state directory.
"""

from __future__ import annotations

import fcntl
import json
import os
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

from tests.fakes.daemon import Exchange, FakeDaemon

from banger.core.layout import layout_from_environment


def main() -> None:
    behaviour = sys.argv[1]
    layout = layout_from_environment(os.environ, uid=os.getuid())
    ready = int(os.environ["BANGER_READY_FD"])
    with (layout.state / "starts").open("a") as file:
        facts = {"pid": os.getpid(), "cwd": str(Path.cwd()), "umask": os.umask(0o077), "sid": os.getsid(0)}
        file.write(json.dumps(facts) + "\n")
    os.write(1, b"the daemon says something on its standard output\n")
    if behaviour == "refuse":
        reason = {"kind": "unsupported", "summary": "this kernel is too old", "hint": "update it"}
        os.write(ready, json.dumps(reason).encode() + b"\n")
        return
    if behaviour == "crash":
        raise RuntimeError("the daemon crashes")
    if behaviour == "leave":
        os.write(ready, b"ready\n")
        return
    lock = os.open(layout.daemon_lock, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    (layout.state / "locked").touch()
    while behaviour == "late" and not (layout.state / "may_begin").exists():
        time.sleep(0.02)
    ending = threading.Event()
    layout.daemon_socket.unlink(missing_ok=True)

    def stop(exchange: Exchange) -> None:
        ending.set()
        exchange.send_json({})

    daemon = FakeDaemon(layout.daemon_socket)
    daemon.answers("GET", "/v1/vms", {"vms": []})
    ping = {
        "version": "1.2.3",
        "api_version": 1,
        "pid": os.getpid(),
        "started_at_s": 0.0,
        "vms_running": 0,
        "notice": "",
    }
    daemon.answers("GET", "/v1/ping", ping)
    if behaviour == "old":
        error = {"kind": "unsupported", "summary": "another version", "hint": "", "operation": ""}
        for method, path in (("GET", "/v1/vms"), ("POST", "/v1/daemon/stop")):
            daemon.answers(method, path, {"error": error}, status=400)
    else:
        daemon.on("POST", "/v1/daemon/stop", stop)
    with daemon:  # what it answers is known before it listens
        with suppress(BrokenPipeError):  # who started us may be gone
            os.write(ready, b"ready\n")
        os.close(ready)
        ending.wait(60)
        while behaviour == "busy" and not (layout.state / "may_end").exists():
            time.sleep(0.02)
    time.sleep(0.3 if behaviour == "slow-end" else 0)  # no longer listening, still holding the lock


main()
