"""The real agent, on this host, through the real channel: what both sides promise each other."""

import asyncio
import grp
import os
import pwd
import signal
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from banger.core.errors import Denied, Invalid, NotFound, Unavailable
from banger.core.platforms import host_architecture
from banger.core.processes import read_identity
from banger.guest.agent import find_agent
from banger.guest.channel import Channel
from banger.guest.frames import PADDING, FrameType
from banger.guest.process import ExecRequest, ExitStatus, PtySize

ENVIRONMENT = {"PATH": "/usr/bin:/bin", "HOME": "/root"}


def request(*argv: str, stdin: bool = False, cwd: str = "/", user: str | None = None, pty: bool = False) -> ExecRequest:
    size = PtySize(rows=30, columns=100) if pty else None
    return ExecRequest(argv=argv, environment=ENVIRONMENT, cwd=cwd, user=user, pty=size, stdin=stdin)


@asynccontextmanager
async def agent(*, held_up: str | None = None) -> AsyncIterator[socket.socket]:
    """`held_up` is a system call that does not come back, in whichever process of the agent makes it."""
    ours, theirs = socket.socketpair()
    holding = ["strace", "-f", "-q", "-o", "/dev/null", "-e", f"trace={held_up}"]
    process = subprocess.Popen(
        [
            *([*holding, "-e", f"inject={held_up}:delay_enter=600s"] if held_up else []),
            find_agent(host_architecture()),
            "--serve-fd",
            str(theirs.fileno()),
        ],
        pass_fds=[theirs.fileno()],
        stderr=None,
    )
    theirs.close()
    try:
        yield ours
    finally:
        ours.close()
        if held_up:
            process.kill()  # strace waits for what it holds up; without it the agent ends as ever
        try:
            await asyncio.to_thread(process.wait, 10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise


@asynccontextmanager
async def connected(*, held_up: str | None = None) -> AsyncIterator[Channel]:
    async with agent(held_up=held_up) as connection:
        channel = await Channel.connect(connection, first=True, deadline_s=10, clock_ns=time.time_ns)
        try:
            yield channel
        finally:
            await channel.aclose()


async def run(channel: Channel, asked: ExecRequest, stdin: bytes = b"") -> tuple[ExitStatus, bytes, bytes]:
    output = {0: b"", 1: b""}
    async with channel.exec(asked) as process:

        async def feed() -> None:
            await process.write(stdin)
            await process.close_stdin()

        feeding = asyncio.create_task(feed()) if asked.stdin else None
        while (chunk := await process.read()) is not None:
            output[chunk.channel] += chunk.data
        ended = await process.wait()
        if feeding is not None:
            await feeding
        return ended, output[0], output[1]


async def test_hello_tells_version_and_boot() -> None:
    async with connected() as channel:
        assert channel.hello.version == 1
        assert channel.hello.phase == "running"
        assert len(channel.hello.boot_id) == 36


async def test_streams_are_separate_and_the_status_is_verbatim() -> None:
    async with connected() as channel:
        assert await run(channel, request("sh", "-c", "echo out; echo err >&2; exit 42")) == (
            ExitStatus(42, None),
            b"out\n",
            b"err\n",
        )


async def test_a_signal_ends_a_program() -> None:
    async with connected() as channel:
        assert (await run(channel, request("sh", "-c", "kill -TERM $$")))[0] == ExitStatus(None, signal.SIGTERM)


@pytest.mark.parametrize("size", [0, 1, 65536, 65537, 5_000_000])
async def test_input_comes_back_byte_for_byte(size: int) -> None:
    data = os.urandom(size)
    async with connected() as channel:
        assert await run(channel, request("cat", stdin=True), data) == (ExitStatus(0, None), data, b"")


async def test_directory_environment_and_user(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    for parent in tmp_path.parents[:3]:
        parent.chmod(0o755) if parent != Path("/tmp") else None
    async with connected() as channel:
        _, output, _ = await run(channel, request("sh", "-c", "pwd; id -u; echo $HOME", cwd="/tmp", user="nobody"))
        uid = output.split()[1]
        assert output == b"/tmp\n" + uid + b"\n/root\n"
        assert uid != b"0"
        _, output, _ = await run(channel, request("id", "-u", user="nobody:0"))
        assert output == f"{pwd.getpwnam('nobody').pw_uid}\n".encode()
        for group, number in (("www-data", grp.getgrnam("www-data").gr_gid), ("root", 0), ("77", 77)):
            _, output, _ = await run(channel, request("id", "-g", user=f"nobody:{group}"))
            assert output == f"{number}\n".encode()
        _, output, _ = await run(channel, request("id", "-g", user="12:34"))
        assert output == b"34\n"


async def test_a_directory_can_be_made_with_its_program(tmp_path: Path) -> None:
    wanted = tmp_path / "a" / "b"
    asked = ExecRequest(argv=["pwd"], environment=ENVIRONMENT, cwd=str(wanted), make_directory=True)
    async with connected() as channel:
        assert await run(channel, asked) == (ExitStatus(0, None), f"{wanted}\n".encode(), b"")


async def test_a_user_has_the_home_and_the_name_that_the_guest_knows() -> None:
    script = "echo $HOME,$USER,$LOGNAME"
    path = {"PATH": "/usr/bin:/bin"}

    async def told(user: str | None, **environment: str) -> str:
        argv = ("sh", "-c", script)
        asked = ExecRequest(argv=argv, environment={**path, **environment}, user=user)
        return (await run(channel, asked))[1].decode().strip()

    async with connected() as channel:
        for user in (None, "0", "root"):
            assert await told(user) == "/root,root,root"
        entry = pwd.getpwnam("www-data")
        for user in ("www-data", str(entry.pw_uid), f"{entry.pw_uid}:7"):
            assert await told(user) == f"{entry.pw_dir},www-data,www-data"
        assert await told("54321:1") == "/,,"
        assert await told("www-data", HOME="/x", USER="me") == "/x,me,www-data"


@pytest.mark.parametrize("ask", [Channel.sync, Channel.shutdown])
async def test_a_disk_that_takes_long_stalls_no_other_stream(
    ask: Callable[[Channel], Coroutine[Any, Any, None]],
) -> None:
    async with connected(held_up="sync") as channel:
        writing = asyncio.create_task(ask(channel))
        for _ in range(3):
            await channel.ping()
            assert (await run(channel, request("echo", "hi")))[1] == b"hi\n"
        assert not writing.done()
        writing.cancel()
        await asyncio.wait((writing,))
        await channel.ping()


async def test_a_directory_that_hangs_stalls_no_other_stream() -> None:
    async with connected(held_up="chdir") as channel:
        starting = asyncio.create_task(run(channel, request("true", cwd="/usr")))
        for _ in range(3):
            await channel.ping()
            await channel.sync()
        assert not starting.done()
        starting.cancel()
        await asyncio.wait((starting,))
        await channel.ping()


async def test_a_program_that_was_given_up_before_it_began_never_begins(tmp_path: Path) -> None:
    async with connected() as channel:
        for number in range(30):
            asked = request("sh", "-c", f"sleep 0.2; touch {tmp_path}/{number}")
            starting = asyncio.create_task(run(channel, asked))
            await asyncio.sleep(0)
            starting.cancel()
            await asyncio.wait((starting,))
        await asyncio.sleep(0.5)
    assert list(tmp_path.iterdir()) == []


async def test_a_tree_that_cannot_be_read_whole_is_no_tree(tmp_path: Path) -> None:
    """As deep as the page says is fine; one more is an error, after what comes before it."""
    directory = os.open(tmp_path, os.O_PATH)
    for _ in range(127):
        os.mkdir("d", dir_fd=directory)
        below = os.open("d", os.O_PATH, dir_fd=directory)
        os.close(directory)
        directory = below
    async with connected() as channel:
        assert b"".join([data async for data in channel.get_tree(os.fsencode(tmp_path))]).endswith(b".")
        os.mkdir("d", dir_fd=directory)
        os.close(directory)
        found = bytearray()

        async def read() -> None:
            async for data in channel.get_tree(os.fsencode(tmp_path)):
                found.extend(data)

        with pytest.raises(Invalid, match="too deeply"):
            await read()
        assert found.startswith(b"d")
        assert not found.endswith(b".")


async def test_a_path_that_is_too_long_is_an_error(tmp_path: Path) -> None:
    directory = os.open(tmp_path, os.O_PATH)
    for _ in range(17):
        os.mkdir("d" * 250, dir_fd=directory)
        below = os.open("d" * 250, os.O_PATH, dir_fd=directory)
        os.close(directory)
        directory = below
    os.close(directory)
    async with connected() as channel:
        with pytest.raises(Invalid, match="too long"):
            async for _ in channel.get_tree(os.fsencode(tmp_path)):
                pass


async def test_refusals_are_typed() -> None:
    async with connected() as channel:
        with pytest.raises(NotFound):
            await run(channel, request("no-such-program-anywhere"))
        with pytest.raises(Denied):
            await run(channel, request("/etc/passwd"))
        with pytest.raises(Invalid):
            await run(channel, request("true", cwd="/no/such/directory"))
        with pytest.raises(Invalid):
            await run(channel, request("true", user="no-such-user"))
        with pytest.raises(Invalid):
            await run(channel, request("true", user="nobody:no-such-group"))
        assert (await run(channel, request("true")))[0] == ExitStatus(0, None)


async def test_a_terminal_has_a_size_can_be_resized_and_takes_control_d() -> None:
    async with (
        connected() as channel,
        channel.exec(request("sh", "-c", "stty size; read x; stty size; cat", stdin=True, pty=True)) as process,
    ):
        output = b""
        while b"30 100" not in output:
            chunk = await process.read()
            assert chunk is not None
            output += chunk.data
        process.resize(40, 120)
        await process.write(b"go\n")
        while b"40 120" not in output:
            chunk = await process.read()
            assert chunk is not None
            output += chunk.data
        await process.close_stdin()
        while (chunk := await process.read()) is not None:
            output += chunk.data
        assert await process.wait() == ExitStatus(0, None)


async def test_control_c_reaches_the_foreground_of_the_terminal() -> None:
    async with connected() as channel, channel.exec(request("sleep", "600", pty=True, stdin=True)) as process:
        await asyncio.sleep(0.2)
        await process.write(b"\x03")
        assert (await process.wait()).signal == signal.SIGINT


async def test_signals_go_to_the_whole_group() -> None:
    async with connected() as channel:
        async with channel.exec(request("sh", "-c", "sleep 600 & echo $!; wait")) as process:
            chunk = await process.read()
            assert chunk is not None
            child = int(chunk.data)
            process.signal(signal.SIGTERM)
            assert (await process.wait()).signal == signal.SIGTERM
        await gone(child)


async def gone(pid: int) -> None:
    async with asyncio.timeout(10):
        while read_identity(pid) is not None:
            await asyncio.sleep(0.01)


async def test_leaving_early_kills_the_program() -> None:
    async with connected() as channel:
        async with channel.exec(request("sleep", "600")) as process:
            child = process.pid
        await gone(child)


async def test_a_child_that_keeps_the_pipe_does_not_hold_up_the_end() -> None:
    async with connected() as channel:
        async with asyncio.timeout(20):
            ended, output, _ = await run(channel, request("sh", "-c", "sleep 600 & echo $!"))
        assert ended == ExitStatus(0, None)
        os.kill(int(output), signal.SIGKILL)


async def test_a_stalled_stream_stalls_no_other() -> None:
    async with (
        connected() as channel,
        channel.exec(request("cat", "/dev/zero")) as stalled,
        channel.exec(request("sleep", "600", stdin=True)) as deaf,
    ):
        writing = asyncio.create_task(deaf.write(bytes(2_000_000)))
        await stalled.read()
        await asyncio.sleep(0.3)
        for _ in range(20):
            async with asyncio.timeout(10):
                assert (await run(channel, request("echo", "hi")))[1] == b"hi\n"
        assert not writing.done()
        writing.cancel()


async def test_many_at_once() -> None:
    async with connected() as channel:
        results = await asyncio.gather(*(run(channel, request("sh", "-c", f"echo {i}; exit {i}")) for i in range(40)))
        assert [(ended.code, output) for ended, output, _ in results] == [(i, f"{i}\n".encode()) for i in range(40)]


async def test_tcp_connections_both_ways_and_refused() -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.read())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    data = os.urandom(1_000_000)
    async with connected() as channel:
        async with channel.connect_tcp(port) as stream:
            writing = asyncio.create_task(stream.write(data))
            await writing
            stream.write_eof()
            received = b""
            while (chunk := await stream.read()) is not None:
                received += chunk.data
        assert received == data
        server.close()
        await server.wait_closed()
        with pytest.raises(Denied):
            async with channel.connect_tcp(port):
                pass


async def test_info_knows_a_listener_and_its_process() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        async with connected() as channel:
            info = await channel.info()
        port = listening.getsockname()[1]
    (listener,) = [listener for listener in info.listeners if listener.port == port]
    assert (listener.protocol, listener.address, listener.pid) == ("tcp", "127.0.0.1", os.getpid())
    assert info.memory_total_bytes > 0
    assert info.process_count > 1
    assert len(info.load) == 3


async def test_ping_sync_and_shutdown_answer() -> None:
    async with connected() as channel:
        await channel.ping()
        await channel.sync()
        await channel.shutdown()


async def test_a_new_session_follows_a_broken_one() -> None:
    async with agent() as connection:
        first = await Channel.connect(connection.dup(), first=True, deadline_s=10, clock_ns=time.time_ns)
        async with first.exec(request("sleep", "600")) as process:
            child = process.pid
            # Half a frame, and then somebody else takes over.
            assert first._transport is not None
            first._transport.write(b"\x05\x00\x5f\xb3\x01\x00\x00\x00\x00\x00\x01\x00half")
            await asyncio.sleep(0.1)
            first._transport.pause_reading()
            second = await Channel.connect(connection.dup(), first=False, deadline_s=10, clock_ns=time.time_ns)
            await gone(child)
            assert (await run(second, request("echo", "again")))[1] == b"again\n"
            await first.aclose()
            with pytest.raises(Unavailable):
                await process.wait()
        await second.aclose()


async def test_garbage_ends_the_session_and_the_next_one_works() -> None:
    async with agent() as connection:
        connection.sendall(os.urandom(100_000))
        channel = await Channel.connect(connection, first=False, deadline_s=10, clock_ns=time.time_ns)
        await channel.ping()
        await channel.aclose()


async def test_more_than_the_window_ends_the_session() -> None:
    async with agent() as connection:
        channel = await Channel.connect(connection.dup(), first=True, deadline_s=10, clock_ns=time.time_ns)
        async with channel.exec(request("sleep", "600", stdin=True)) as process:
            process._stream._send_window = -(1 << 30)  # our own side no longer counts
            for _ in range(8):
                channel.send(FrameType.DATA, process._stream.identity, bytes(65536))
            await gone(process.pid)
        await channel.aclose()
        again = await Channel.connect(connection, first=False, deadline_s=10, clock_ns=time.time_ns)
        await again.aclose()
    assert PADDING == 65552


async def test_losing_the_agent_fails_everyone_who_waits() -> None:
    ours, theirs = socket.socketpair()
    process = subprocess.Popen(
        [find_agent(host_architecture()), "--serve-fd", str(theirs.fileno())], pass_fds=[theirs.fileno()]
    )
    theirs.close()
    channel = await Channel.connect(ours, first=True, deadline_s=10, clock_ns=time.time_ns)
    async with channel.exec(request("sleep", "600")) as sleeping:
        child = sleeping.pid
        process.kill()
        process.wait()
        with pytest.raises(Unavailable):
            await sleeping.wait()
    os.kill(child, signal.SIGKILL)
    assert channel.closed
