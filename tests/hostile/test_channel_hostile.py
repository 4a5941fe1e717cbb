"""An agent that lies, floods, stalls and breaks off: every call ends with a typed error, and memory stays bounded."""

from __future__ import annotations

import asyncio
import os
import random
import socket
import time
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fakes.agent import FakeAgent, Vice
from tests.fakes.agent_session import field, frame

from banger.core.errors import BangerError, Denied, Failed, TimedOut, Unavailable
from banger.guest.channel import Channel
from banger.guest.frames import SYNC_HOST, SYNC_PEER, ProtocolViolation
from banger.guest.process import ExecRequest, GuestProcess
from banger.guest.streams import START_DEADLINE_S

REQUEST = ExecRequest(argv=["true"], environment={"PATH": "/usr/bin:/bin"})


@asynccontextmanager
async def bad_agent(vice: Vice | None, tmp_path: Path) -> AsyncIterator[socket.socket]:
    ours, theirs = socket.socketpair()
    serving = asyncio.create_task(FakeAgent(root=tmp_path, vice=vice).serve_socket(theirs))
    try:
        yield ours
    finally:
        ours.close()
        serving.cancel()
        await asyncio.wait((serving,))


@asynccontextmanager
async def connected(vice: Vice | None, tmp_path: Path) -> AsyncIterator[Channel]:
    async with bad_agent(vice, tmp_path) as connection:
        channel = await Channel.connect(connection, first=True, deadline_s=20, clock_ns=time.time_ns)
        try:
            yield channel
        finally:
            await channel.aclose()


async def read_all(process: GuestProcess) -> int:
    taken = 0
    while (chunk := await process.read()) is not None:
        taken += len(chunk.data)
    return taken


async def run_to_the_end(channel: Channel) -> int:
    async with channel.exec(REQUEST) as process:
        taken = await read_all(process)
        await process.wait()
    return taken


async def ping_for_ever(channel: Channel) -> None:
    while True:
        await channel.ping()


@pytest.mark.parametrize(
    "vice",
    [
        Vice.GARBAGE,
        Vice.WRONG_STREAM,
        Vice.OVERSIZE,
        Vice.DATA_BEFORE_START,
        Vice.DATA_AFTER_EOF,
        Vice.UNKNOWN_CHANNEL,
        Vice.STARTED_TWICE,
        Vice.HELLO_TWICE,
        Vice.WINDOW_OVERFLOW,
        Vice.SHORT_FIELD,
    ],
)
async def test_a_broken_rule_ends_the_session_for_everybody(vice: Vice, tmp_path: Path) -> None:
    async with asyncio.timeout(20), connected(vice, tmp_path) as channel:
        others = [asyncio.create_task(run_to_the_end(channel)) for _ in range(3)]
        for ended in await asyncio.gather(*others, return_exceptions=True):
            assert isinstance(ended, Failed)
        assert channel.closed
        with pytest.raises(ProtocolViolation):
            await channel.info()


async def test_a_second_end_ends_the_session_but_not_the_first_answer(tmp_path: Path) -> None:
    async with asyncio.timeout(20), connected(Vice.ANSWERS_TWICE, tmp_path) as channel:
        with suppress(ProtocolViolation):  # when both come in one piece
            await run_to_the_end(channel)
        with pytest.raises(ProtocolViolation):
            await ping_for_ever(channel)


@pytest.mark.parametrize("vice", [Vice.NO_STATUS, Vice.ODD_STATUS])
async def test_an_impossible_status_is_no_status(vice: Vice, tmp_path: Path) -> None:
    async with asyncio.timeout(20), connected(vice, tmp_path) as channel:
        with pytest.raises(Failed):
            await run_to_the_end(channel)


async def test_closing_in_the_middle_of_a_frame_is_a_lost_connection(tmp_path: Path) -> None:
    async with asyncio.timeout(20), connected(Vice.MID_FRAME_CLOSE, tmp_path) as channel:
        with pytest.raises(Unavailable):
            await run_to_the_end(channel)
        assert channel.closed


async def test_a_slow_agent_is_only_slow(tmp_path: Path) -> None:
    async with asyncio.timeout(60), connected(Vice.SLOW, tmp_path) as channel:
        assert await run_to_the_end(channel) == 4


async def test_a_flood_beyond_the_window_is_cut_off(tmp_path: Path) -> None:
    async with asyncio.timeout(20), connected(Vice.FLOOD, tmp_path) as channel, channel.exec(REQUEST) as process:
        with pytest.raises(Failed):  # nobody reads, so the window is soon used up
            await ping_for_ever(channel)
        assert sum(len(waiting.data) for waiting in process._stream._chunks) <= 262_144
        with pytest.raises(Failed):
            await read_all(process)


async def test_crumbs_do_not_fill_the_memory(tmp_path: Path) -> None:
    async with asyncio.timeout(100), connected(Vice.CRUMBS, tmp_path) as channel, channel.exec(REQUEST) as process:
        stream = process._stream
        while sum(len(waiting.data) for waiting in stream._chunks) < 2 * 262_144:
            await channel.ping()
        assert len(stream._chunks) <= 1024
        taken = {0: b"", 1: b""}
        while sum(map(len, taken.values())) < 2 * 262_144:
            chunk = await process.read()
            assert chunk is not None
            taken[chunk.channel] += chunk.data
        assert taken == {0: b"o" * 262_144, 1: b"e" * 262_144}


@pytest.mark.parametrize("vice", [Vice.PONG_STORM, Vice.EMPTY_STORM, Vice.NO_CREDIT_STORM])
async def test_frames_of_nothing_do_not_keep_us_busy(vice: Vice, tmp_path: Path) -> None:
    """They cost no window, and so an agent could send them for ever."""
    async with asyncio.timeout(20), connected(vice, tmp_path) as channel:
        await channel.ping()  # whose answer is no storm
        with pytest.raises(ProtocolViolation):
            await run_to_the_end(channel)
        assert channel.closed


async def test_an_agent_that_sends_but_does_not_read_is_dropped_or_bounded(tmp_path: Path) -> None:
    async with connected(Vice.STOPS_READING, tmp_path) as channel:
        tracemalloc.start()
        try:
            async with channel.exec(ExecRequest(argv=["x"], stdin=True)) as process:
                writing = asyncio.create_task(process.write(bytes(10_000_000)))
                for _ in range(3):  # a whole window came, and credit for more is not read
                    await process.read()
                with suppress(BangerError):
                    for number in range(200_000):
                        process.signal(number % 31 + 1)
                writing.cancel()
                with suppress(asyncio.CancelledError, BangerError):
                    await writing
                assert channel.closed
            assert tracemalloc.get_traced_memory()[1] < 48 << 20
        finally:
            tracemalloc.stop()


async def test_rude_words_do_not_reach_the_terminal(tmp_path: Path) -> None:
    async with asyncio.timeout(20), connected(Vice.RUDE_ERROR, tmp_path) as channel:
        with pytest.raises(Denied) as caught:
            await run_to_the_end(channel)
        assert caught.value.summary.isprintable()
        assert "\\x1b" in caught.value.summary


async def test_an_agent_cannot_claim_that_the_fault_is_ours(tmp_path: Path) -> None:
    async with asyncio.timeout(20), connected(Vice.UNKNOWN_ERROR, tmp_path) as channel:
        with pytest.raises(Failed) as caught:
            await run_to_the_end(channel)
        assert len(caught.value.summary) < 500


async def test_another_version_is_explained(tmp_path: Path) -> None:
    async with bad_agent(Vice.WRONG_VERSION, tmp_path) as connection:
        with pytest.raises(BangerError, match="version 99") as caught:
            await Channel.connect(connection, first=True, deadline_s=20, clock_ns=time.time_ns)
        assert caught.value.hint


async def test_an_agent_that_never_answers_is_waited_for_no_longer_than_said(tmp_path: Path) -> None:
    async with bad_agent(Vice.DEAF, tmp_path) as connection:
        with pytest.raises(TimedOut):
            await Channel.connect(connection, first=False, deadline_s=0.6, clock_ns=time.time_ns)
        assert connection.fileno() == -1


async def test_an_agent_that_hangs_up_at_once(tmp_path: Path) -> None:
    async with bad_agent(Vice.HANGS_UP, tmp_path) as connection:
        with pytest.raises(Unavailable):
            await Channel.connect(connection, first=True, deadline_s=20, clock_ns=time.time_ns)


async def test_a_silent_agent_is_given_up_by_those_who_wait(tmp_path: Path) -> None:
    async with connected(Vice.SILENT, tmp_path) as channel:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1), channel.exec(REQUEST):
                pytest.fail("it never started")
        await channel.ping()
    assert START_DEADLINE_S < 300  # without anybody's impatience it ends as well


async def test_an_agent_that_ignores_reset_holds_nobody_for_ever(tmp_path: Path) -> None:
    async with asyncio.timeout(30), connected(Vice.IGNORES_RESET, tmp_path) as channel:
        async with channel.exec(REQUEST):
            pass
        assert len(channel._streams) == 1  # its id stays taken
        await channel.ping()


async def serve_raw(connection: socket.socket, tell: bytes, *, late_s: float = 0.0) -> None:
    """Answer every question for a session after `late_s`, then tell `tell` for the first stream."""
    loop = asyncio.get_running_loop()
    connection.setblocking(False)
    held = b""
    told = False

    def answer(nonce: bytes) -> None:
        with suppress(OSError):
            connection.send(SYNC_PEER + nonce + frame(1, 0, field(1, 1) + field(5, "running")))

    with suppress(OSError):
        while data := await loop.sock_recv(connection, 65_536):
            held += data
            while (at := held.find(SYNC_HOST)) >= 0 and len(held) >= at + 32:
                loop.call_later(late_s, answer, held[at + 16 : at + 32])
                held = held[at + 32 :]
            if b"true" in held and not told:
                told = True
                await loop.sock_sendall(connection, tell)


async def test_a_guest_slower_than_the_question_is_repeated_still_gets_through() -> None:
    ours, theirs = socket.socketpair()
    serving = asyncio.create_task(serve_raw(theirs, b"", late_s=0.7))
    channel = await Channel.connect(ours, first=True, deadline_s=20, clock_ns=time.time_ns)
    assert channel.hello.phase == "running"
    await channel.aclose()
    await serving
    theirs.close()


valid = st.builds(
    frame,
    st.integers(1, 11),
    st.sampled_from([0, 1, 1, 1, 2]),
    st.one_of(st.binary(max_size=40), st.just(field(1, 0)), st.just(field(3, "denied"))),
    st.sampled_from([0, 0, 1, 2]),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.one_of(valid, valid, valid, st.binary(max_size=40)), max_size=12))
def test_any_frames_at_all_end_a_call_with_a_result_or_a_typed_error(pieces: list[bytes]) -> None:
    async def scenario() -> None:
        ours, theirs = socket.socketpair()
        serving = asyncio.create_task(serve_raw(theirs, b"".join(pieces)))
        channel = await Channel.connect(ours, first=True, deadline_s=20, clock_ns=time.time_ns)
        calling = asyncio.create_task(run_to_the_end(channel))
        await asyncio.wait((calling,), timeout=0.01)
        await channel.aclose()  # an unfinished conversation is legal; closing must release whoever waits
        with suppress(BangerError):
            await asyncio.wait_for(calling, 20)
        await serving
        theirs.close()

    asyncio.run(scenario())


async def test_random_garbage_of_every_length_before_the_answer() -> None:
    for seed in range(20):
        ours, theirs = socket.socketpair()
        theirs.sendall(random.Random(seed).randbytes(seed * 97) + SYNC_PEER + os.urandom(16))
        serving = asyncio.create_task(serve_raw(theirs, b""))
        channel = await Channel.connect(ours, first=False, deadline_s=20, clock_ns=time.time_ns)
        await channel.aclose()
        await serving
        theirs.close()
