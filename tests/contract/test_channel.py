"""What the channel promises, with the fake agent and with the real one: both behave alike, so the fake is honest."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest
from tests.collected_tree import collect_tree
from tests.fakes.agent import FakeAgent

from banger.core.errors import BangerError, Denied, Invalid, NotFound, Unavailable
from banger.core.platforms import host_architecture
from banger.core.sockets import connect_unix
from banger.guest.agent import find_agent
from banger.guest.channel import Channel, Place
from banger.guest.process import ExecRequest, ExitStatus, PtySize
from banger.guest.tree_pack import (
    Directory,
    HostFile,
    MemoryFile,
    PackEntry,
    SymbolicLink,
    iterate_in_thread,
    pack_files,
)

ENVIRONMENT = {"PATH": "/usr/bin:/bin", "HOME": "/root"}


@pytest.fixture(params=["fake", "real"])
async def channel(request: pytest.FixtureRequest) -> AsyncIterator[Channel]:
    serving = fake_agent() if request.param == "fake" else real_agent()
    async with serving as connection:
        channel = await Channel.connect(connection, first=True, deadline_s=20, clock_ns=time.time_ns)
        yield channel
        await channel.aclose()


@asynccontextmanager
async def fake_agent() -> AsyncIterator[socket.socket]:
    ours, theirs = socket.socketpair()
    serving = asyncio.create_task(FakeAgent(root=Path("/")).serve_socket(theirs))
    yield ours
    await asyncio.wait_for(serving, 20)


@asynccontextmanager
async def real_agent() -> AsyncIterator[socket.socket]:
    try:
        program = find_agent(host_architecture())
    except BangerError:
        pytest.skip("the agent is not built")
    ours, theirs = socket.socketpair()
    process = subprocess.Popen([program, "--serve-fd", str(theirs.fileno())], pass_fds=[theirs.fileno()])
    theirs.close()
    try:
        yield ours
    finally:
        ours.close()
        await asyncio.to_thread(process.wait, 20)


def request(*argv: str, stdin: bool = False, cwd: str = "/", pty: PtySize | None = None) -> ExecRequest:
    return ExecRequest(argv=argv, environment=ENVIRONMENT, cwd=cwd, pty=pty, stdin=stdin)


async def run(channel: Channel, asked: ExecRequest, data: bytes = b"") -> tuple[ExitStatus, bytes, bytes]:
    output = (bytearray(), bytearray())
    async with channel.exec(asked) as process, asyncio.TaskGroup() as group:

        async def feed() -> None:
            await process.write(data)
            await process.close_stdin()

        if asked.stdin:
            group.create_task(feed())
        while (chunk := await process.read()) is not None:
            output[chunk.channel].extend(chunk.data)
        ended = await process.wait()
    return ended, bytes(output[0]), bytes(output[1])


async def test_the_agent_introduces_itself(channel: Channel) -> None:
    assert channel.hello.version == 1
    assert channel.hello.phase == "running"
    assert len(channel.hello.boot_id) == 36
    assert not channel.closed


async def test_output_is_separate_and_the_status_verbatim(channel: Channel) -> None:
    ended = await run(channel, request("sh", "-c", "echo out; echo err >&2; exit 42"))
    assert ended == (ExitStatus(42, None), b"out\n", b"err\n")


async def test_a_signal_is_told_apart_from_a_status(channel: Channel) -> None:
    assert (await run(channel, request("sh", "-c", "kill -TERM $$")))[0] == ExitStatus(None, signal.SIGTERM)
    async with channel.exec(request("sleep", "600")) as process:
        process.signal(signal.SIGINT)
        assert await process.wait() == ExitStatus(None, signal.SIGINT)


@pytest.mark.parametrize("size", [0, 1, 65_536, 65_537, 3_000_000])
async def test_input_comes_back_byte_for_byte(channel: Channel, size: int) -> None:
    data = os.urandom(size)
    assert await run(channel, request("cat", stdin=True), data) == (ExitStatus(0, None), data, b"")


async def test_arguments_and_environment_of_any_bytes(channel: Channel) -> None:
    odd = os.fsdecode(b"a b\n\xff'\"$")
    asked = ExecRequest(
        argv=["sh", "-c", 'printf %s "$1$ODD"', "sh", odd], environment={**ENVIRONMENT, "ODD": odd}, cwd="/tmp"
    )
    assert (await run(channel, asked))[1] == b"a b\n\xff'\"$" * 2


async def test_what_cannot_be_started_is_refused_with_a_reason(channel: Channel) -> None:
    with pytest.raises(NotFound):
        await run(channel, request("no-such-program-anywhere"))
    with pytest.raises(Denied):
        await run(channel, request("/etc/passwd"))
    with pytest.raises(Invalid):
        await run(channel, request("true", cwd="/no/such/directory"))
    with pytest.raises(Invalid):
        await run(channel, request("true", "x" * 70_000))
    assert (await run(channel, request("true")))[0] == ExitStatus(0, None)


async def test_a_terminal(channel: Channel) -> None:
    async with channel.exec(
        request("sh", "-c", "test -t 0 && test -t 1 && echo yes; cat", pty=PtySize(rows=30, columns=100), stdin=True)
    ) as process:
        output = b""
        while b"yes" not in output:
            chunk = await process.read()
            assert chunk is not None
            output += chunk.data
        await process.write(b"line\n")
        await process.close_stdin()
        while (chunk := await process.read()) is not None:
            output += chunk.data
        assert (await process.wait()).code == 0
        assert output.count(b"line") == 2  # the terminal's echo and cat's


async def test_leaving_early_ends_the_program_and_frees_the_stream(channel: Channel) -> None:
    for _ in range(300):  # more than there may be at once
        async with channel.exec(request("cat", "/dev/zero")) as process:
            await process.read()
    assert not channel._streams


async def test_writing_to_a_program_that_has_ended_harms_nobody(channel: Channel) -> None:
    async with channel.exec(request("true", stdin=True)) as process:
        await process.wait()
        await process.write(bytes(1_000_000))
        await process.close_stdin()
    await channel.ping()


async def test_a_stalled_stream_stalls_no_other(channel: Channel) -> None:
    async with (
        channel.exec(request("cat", "/dev/zero")) as stalled,
        channel.exec(request("sleep", "600", stdin=True)) as deaf,
    ):
        await stalled.read()
        writing = asyncio.create_task(deaf.write(bytes(2_000_000)))
        for _ in range(10):
            assert (await run(channel, request("echo", "hi")))[1] == b"hi\n"
        assert not writing.done()
        writing.cancel()


async def test_many_at_once(channel: Channel) -> None:
    asked = [request("sh", "-c", f"cat; exit {number}", stdin=True) for number in range(20)]
    data = [os.urandom(100_000) for _ in asked]
    ended = await asyncio.gather(*(run(channel, one, some) for one, some in zip(asked, data, strict=True)))
    assert [(status.code, output) for status, output, _ in ended] == list(enumerate(data))


async def send(channel: Channel, destination: Path, *entries: PackEntry, fresh: bool = True) -> None:
    pieces = pack_files(entries, report=lambda path, what: pytest.fail(f"{path!r} {what}"))
    async with aclosing(iterate_in_thread(pieces)) as stream:
        await channel.put_tree(os.fsencode(destination), stream, fresh=fresh)


async def test_a_tree_goes_in_and_comes_out_again(channel: Channel, tmp_path: Path) -> None:
    big = os.urandom(2_000_000)
    (tmp_path / "big").write_bytes(big)
    name = b"odd \n\xff"
    entries: list[PackEntry] = [
        Directory(path=b"sub"),
        HostFile(path=b"sub/big", root=tmp_path, name=b"big", mode=0o755, mtime_ns=1_600_000_000_500_000_000),
        MemoryFile(path=b"sub/" + name, content=b"x"),
        MemoryFile(path=b"empty", content=b""),
        SymbolicLink(path=b"link", target=b"nowhere/at/all"),
    ]
    inside = tmp_path / "made" / "inside"
    await send(channel, inside, *entries)
    assert (inside / "sub" / "big").read_bytes() == big
    assert stat.S_IMODE((inside / "sub" / "big").stat().st_mode) == 0o755
    assert (inside / "sub" / "big").stat().st_mtime_ns == 1_600_000_000_500_000_000
    assert (inside / "link").readlink() == Path("nowhere/at/all")

    async with aclosing(channel.get_tree(os.fsencode(inside))) as stream:
        tree = await collect_tree(stream)
    assert sorted(tree) == [b"empty", b"link", b"sub", b"sub/big", b"sub/" + name]
    assert tree[b"sub/big"].content == big
    assert tree[b"link"].record.target == b"nowhere/at/all"


async def test_a_fresh_destination_holds_nothing(channel: Channel, tmp_path: Path) -> None:
    (tmp_path / "there").write_text("already")
    with pytest.raises(Invalid):
        await send(channel, tmp_path, MemoryFile(path=b"x", content=b"x"))
    assert not (tmp_path / "x").exists()
    await send(channel, tmp_path, MemoryFile(path=b"x", content=b"x"), fresh=False)
    assert (tmp_path / "x").read_text() == "x"


@pytest.mark.parametrize("kind", ["file", "directory"])
async def test_a_tree_takes_its_place_when_it_is_complete(channel: Channel, tmp_path: Path, kind: str) -> None:
    top: PackEntry = MemoryFile(path=b".p", content=b"new") if kind == "file" else Directory(path=b".p")
    inside: list[PackEntry] = (
        [] if kind == "file" else [MemoryFile(path=b".p/x", content=b"new"), SymbolicLink(path=b".p/l", target=b"/")]
    )

    async def put(*entries: PackEntry, replace: bool = False, end: bool = True) -> None:
        async def pieces() -> AsyncIterator[bytes]:
            for piece in pack_files(entries, report=lambda _path, _what: None, end=end):
                yield piece

        place = Place(partial=b".p", final=b"x", replace=replace)
        await channel.put_tree(os.fsencode(tmp_path), pieces(), place=place)

    def names() -> list[str]:
        return sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*"))

    with pytest.raises(Invalid):
        await put(top, *inside, end=False)
    await channel.ping()
    assert names() == []
    await put(top, *inside)
    assert names() == (["x"] if kind == "file" else ["x", "x/l", "x/x"])
    if kind == "file":
        await put(MemoryFile(path=b".p", content=b"newer"))
        assert (tmp_path / "x").read_bytes() == b"newer"
        with pytest.raises(BangerError):
            await put(Directory(path=b".p"), replace=True)
        assert names() == ["x"]
        return
    for entry, replace in ((Directory(path=b".p"), False), (MemoryFile(path=b".p", content=b""), True)):
        with pytest.raises(BangerError):
            await put(entry, replace=replace)
        assert names() == ["x", "x/l", "x/x"]
    await put(Directory(path=b".p"), replace=True)
    assert names() == ["x"]
    await put(top, *inside)
    assert names() == ["x", "x/l", "x/x"]


async def test_a_tree_that_breaks_off_is_refused(channel: Channel, tmp_path: Path) -> None:
    async def cut_short() -> AsyncIterator[bytes]:
        for piece in pack_files([MemoryFile(path=b"x", content=b"x")], report=lambda _p, _w: None, end=False):
            yield piece

    with pytest.raises(Invalid):
        await channel.put_tree(os.fsencode(tmp_path / "new"), cut_short(), fresh=True)


async def test_a_malformed_tree_is_refused_while_more_is_sent(channel: Channel, tmp_path: Path) -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"?" * 300_000

    with pytest.raises(Invalid):
        await channel.put_tree(os.fsencode(tmp_path / "new"), endless(), fresh=True)
    await channel.ping()


async def test_a_source_that_fails_gives_the_transfer_up(channel: Channel, tmp_path: Path) -> None:
    async def failing() -> AsyncIterator[bytes]:
        yield b"d"
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="gone"):
        await channel.put_tree(os.fsencode(tmp_path / "new"), failing())
    await channel.ping()


async def test_what_is_not_there_cannot_be_got(channel: Channel, tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        async with aclosing(channel.get_tree(os.fsencode(tmp_path / "missing"))) as stream:
            await collect_tree(stream)


async def test_getting_can_be_given_up(channel: Channel, tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(bytes(5_000_000))
    async with aclosing(channel.get_tree(os.fsencode(tmp_path))) as stream:
        async for _ in stream:
            break
    assert not channel._streams
    await channel.ping()


@asynccontextmanager
async def listening(handle: str) -> AsyncIterator[int]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if handle == "echo":
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        else:
            writer.write(b"bye")
        writer.write_eof()
        await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def test_a_connection_carries_bytes_both_ways(channel: Channel) -> None:
    data = os.urandom(1_000_000)
    async with listening("echo") as port, channel.connect_tcp(port) as connection, asyncio.TaskGroup() as group:

        async def feed() -> None:
            await connection.write(data)
            connection.write_eof()

        group.create_task(feed())
        received = bytearray()
        while (chunk := await connection.read()) is not None:
            received += chunk.data
    assert received == data


async def test_the_other_sides_end_is_seen_while_ours_is_open(channel: Channel) -> None:
    async with listening("bye") as port, channel.connect_tcp(port) as connection:
        async with asyncio.timeout(20):
            received = b""
            while (chunk := await connection.read()) is not None:
                received += chunk.data
        assert received == b"bye"
        assert not connection.ended
        connection.write_eof()


async def test_a_refused_connection(channel: Channel) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(Denied):
            async with channel.connect_tcp(unused.getsockname()[1]):
                pass
    with pytest.raises(Invalid):
        async with channel.connect_tcp(0):
            pass


async def test_information_is_typed(channel: Channel) -> None:
    info = await channel.info()
    assert len(info.load) == 3
    assert info.memory_total_bytes >= info.memory_available_bytes > 0
    assert info.root_total_bytes > 0
    assert info.process_count > 0
    assert info.kernel


async def test_ping_sync_and_shutdown_are_answered(channel: Channel) -> None:
    await channel.ping()
    await channel.sync()
    await channel.shutdown()


async def test_the_fake_is_a_program_too(tmp_path: Path) -> None:
    deep = tmp_path / ("long" * 30)
    deep.mkdir()
    command = [sys.executable, "-m", "tests.fakes.agent", os.fspath(deep / "s"), "--root", os.fspath(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=subprocess_environment())
    assert process.stdout is not None
    try:
        assert await asyncio.to_thread(process.stdout.readline) == b"ready\n"
        channel = await Channel.connect(connect_unix(deep / "s"), first=True, deadline_s=20, clock_ns=time.time_ns)
        assert await run(channel, request("pwd")) == (ExitStatus(0, None), os.fsencode(tmp_path) + b"\n", b"")
        await channel.shutdown()
        _, complaints = await asyncio.to_thread(process.communicate, None, 20)
        assert (process.returncode, complaints) == (0, b"")
        await channel.aclose()
    finally:
        process.kill()
        process.communicate()


def subprocess_environment() -> dict[str, str]:
    top = Path(__file__).parents[2]
    return {**os.environ, "PYTHONPATH": f"{top / 'src'}:{top}"}


async def test_closing_fails_everyone_who_waits(channel: Channel) -> None:
    async with channel.exec(request("sleep", "600", stdin=True)) as process:
        waiting = [
            asyncio.create_task(process.wait()),
            asyncio.create_task(process.read()),
            asyncio.create_task(process.write(bytes(2_000_000))),
        ]
        await asyncio.sleep(0.05)
        await channel.aclose()
        for ended in await asyncio.gather(*waiting, return_exceptions=True):
            assert isinstance(ended, Unavailable)
    assert channel.closed
    for again in (channel.ping(), channel.info(), run(channel, request("true"))):
        with pytest.raises(Unavailable):
            await again


async def test_interfaces_that_are_up_are_told(channel: Channel) -> None:
    assert "127.0.0.1" in [interface.address for interface in (await channel.info()).interfaces]
