"""QEMU's control socket: a QEMU that answers, that refuses, and that hangs in each of the ways it can."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from banger.core.errors import Failed, TimedOut
from banger.core.sockets import connect_unix, listen_unix
from banger.daemon.logs import set_up_logging
from banger.hypervisor.qemu.monitor import execute

Answers = dict[str, dict[str, object]]
GREETING: dict[str, object] = {
    "QMP": {"version": {"qemu": {"micro": 0, "minor": 2, "major": 7}, "package": ""}, "capabilities": []}
}
LIVES: Answers = {"greeting": GREETING, "qmp_capabilities": {"return": {}}}
SOON_S = 0.2


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Path]:
    """The daemon's log, as the daemon sets it up."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    set_up_logging(tmp_path / "daemon.log")
    yield tmp_path / "daemon.log"
    for handler in set(root.handlers) - set(handlers):
        root.removeHandler(handler)
        handler.close()
    root.setLevel(level)


@asynccontextmanager
async def qemu(listener: socket.socket, answers: Answers) -> AsyncIterator[None]:
    """A QMP server that answers what it has an answer for, and otherwise nothing (docs/interop/qmp-spec.rst of QEMU).

    A client sends one request at a time, without a newline at its end, and they are small enough to come in one piece.
    """

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if "greeting" in answers:
            writer.write(json.dumps(answers["greeting"]).encode() + b"\n")
        while piece := await reader.read(1 << 16):
            request = json.loads(piece)
            if request["execute"] in answers:
                named = {"id": request["id"]} if "id" in request else {}
                writer.write(json.dumps(named | answers[request["execute"]]).encode() + b"\n")
        writer.close()

    async with await asyncio.start_unix_server(serve, sock=listener):
        yield


async def test_an_answer_is_what_qemu_returned(tmp_path: Path) -> None:
    async with qemu(listen_unix(tmp_path / "s"), {**LIVES, "query-status": {"return": {"status": "paused"}}}):
        assert await execute(tmp_path / "s", "query-status") == {"status": "paused"}


async def test_a_refusal_is_told(tmp_path: Path, log: Path) -> None:
    refusal: dict[str, object] = {"error": {"class": "GenericError", "desc": "not now"}}
    async with qemu(listen_unix(tmp_path / "s"), {**LIVES, "cont": refusal}):
        with pytest.raises(Failed, match="QEMU did not do cont: not now"):
            await execute(tmp_path / "s", "cont")
    assert log.read_text() == ""


async def test_a_qemu_that_ended_is_told(tmp_path: Path, log: Path) -> None:
    listen_unix(tmp_path / "s").close()
    with pytest.raises(Failed, match=r"^QEMU did not do cont: .*refused$"):
        await execute(tmp_path / "s", "cont")
    assert log.read_text() == ""


@pytest.mark.parametrize(
    "answers", [{}, {"greeting": GREETING}, LIVES], ids=["says nothing", "only greets", "does not do it"]
)
async def test_a_qemu_that_does_not_answer_hangs(tmp_path: Path, log: Path, answers: Answers) -> None:
    async with qemu(listen_unix(tmp_path / "s"), answers):
        with pytest.raises(TimedOut, match=r"^QEMU hangs: it did not answer stop within 0\.2 s$") as caught:
            await execute(tmp_path / "s", "stop", deadline_s=SOON_S)
    assert "banger vm kill" in caught.value.hint
    assert log.read_text() == ""


async def test_a_qemu_that_takes_no_connection_hangs(tmp_path: Path, log: Path) -> None:
    told = pytest.raises(TimedOut, match=r"^QEMU hangs: it took no connection within 0\.2 s$")
    with listen_unix(tmp_path / "s", backlog=0), connect_unix(tmp_path / "s"), told as caught:
        await execute(tmp_path / "s", "stop", deadline_s=SOON_S)
    assert "banger vm kill" in caught.value.hint
    assert log.read_text() == ""


async def test_a_qemu_that_was_only_busy_is_waited_for(tmp_path: Path) -> None:
    listener = listen_unix(tmp_path / "s", backlog=0)
    first = connect_unix(tmp_path / "s")
    waiting = asyncio.create_task(execute(tmp_path / "s", "stop"))
    await asyncio.sleep(SOON_S)
    assert not waiting.done()
    first.close()
    async with qemu(listener, {**LIVES, "stop": {"return": {}}}):
        assert await waiting == {}
