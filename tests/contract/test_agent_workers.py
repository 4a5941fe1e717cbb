"""Trees in and out are the work of processes of their own: what becomes of the agent and of the files when one is slow, given up
or killed."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from tests.contract.test_agent import connected, gone, request, run

from banger.core.errors import BangerError, Failed, Unavailable
from banger.guest.channel import Channel, Place
from banger.guest.tree_pack import Directory, MemoryFile, PackEntry, SymbolicLink, pack_files

PLACE = Place(partial=b".p", final=b"x")


def encode(*entries: PackEntry, end: bool = True) -> bytes:
    return b"".join(pack_files(entries, report=lambda path, what: pytest.fail(f"{path!r} {what}"), end=end))


async def agent_pid(channel: Channel) -> int:
    return int((await run(channel, request("sh", "-c", "echo $PPID")))[1])


def children(pid: int) -> dict[int, str]:
    """The children of a process by pid, with their names; also those that have ended and nobody looked at."""
    found = {}
    for entry in Path("/proc").glob("[1-9]*"):
        try:
            name, rest = (entry / "stat").read_text().split("(", 1)[1].rsplit(")", 1)
        except OSError:
            continue
        if int(rest.split()[1]) == pid:
            found[int(entry.name)] = name
    return found


async def worker_of(channel: Channel, name: str) -> int:
    parent = await agent_pid(channel)
    async with asyncio.timeout(20):
        while True:
            found = [pid for pid, named in children(parent).items() if named == name]
            if found:
                return found[0]
            await asyncio.sleep(0.01)


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not true():
            await asyncio.sleep(0.01)


class Source:
    """A tree whose sender waits in the middle."""

    def __init__(self, begin: bytes) -> None:
        self.begin = begin
        self.go_on = asyncio.Event()
        self.rest = b"."

    async def pieces(self) -> AsyncIterator[bytes]:
        yield self.begin
        await self.go_on.wait()
        yield self.rest


BEGUN = encode(Directory(path=b".p"), MemoryFile(path=b".p/file", content=b"text"), end=False)


def begin_put(channel: Channel, directory: Path, source: Source) -> asyncio.Task[None]:
    return asyncio.create_task(channel.put_tree(os.fsencode(directory), source.pieces(), place=PLACE))


async def put_link(channel: Channel, directory: Path) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield encode(SymbolicLink(path=b"link", target=b"nowhere"))

    await channel.put_tree(os.fsencode(directory / "new"), pieces())


async def get_link(channel: Channel, directory: Path) -> None:
    (directory / "link").symlink_to("nowhere")
    async for _ in channel.get_tree(os.fsencode(directory)):
        pass


@pytest.mark.parametrize(("held_up", "move"), [("symlinkat", put_link), ("readlinkat", get_link)])
async def test_a_disk_that_hangs_stalls_no_other_stream(
    held_up: str, move: Callable[[Channel, Path], Coroutine[Any, Any, None]], tmp_path: Path
) -> None:
    async with connected(held_up=held_up) as channel:
        moving = asyncio.create_task(move(channel, tmp_path))
        await worker_of(channel, "banger-put" if move is put_link else "banger-get")
        for _ in range(3):
            await channel.ping()
            assert (await run(channel, request("echo", "hi")))[1] == b"hi\n"
        assert not moving.done()
        moving.cancel()
        await asyncio.wait((moving,))
        await channel.ping()


async def test_a_worker_that_takes_nothing_costs_a_window_and_no_more(tmp_path: Path) -> None:
    content = os.urandom(5_000_000)
    source = Source(encode(Directory(path=b".p"), end=False))
    source.rest = encode(MemoryFile(path=b".p/file", content=content))
    async with connected() as channel:
        putting = begin_put(channel, tmp_path, source)
        worker = await worker_of(channel, "banger-put")
        await until((tmp_path / ".p").exists)
        os.kill(worker, signal.SIGSTOP)
        try:
            source.go_on.set()
            for _ in range(20):
                assert (await run(channel, request("echo", "hi")))[1] == b"hi\n"
            assert not putting.done()
            held = [stream._send_window for stream in channel._streams.values()]
            assert held == [0]
        finally:
            os.kill(worker, signal.SIGCONT)
        await putting
        assert (tmp_path / "x" / "file").read_bytes() == content


async def test_a_worker_has_nothing_of_the_agents_but_its_name_for_init(tmp_path: Path) -> None:
    source = Source(BEGUN)
    async with connected() as channel, channel.exec(request("cat", stdin=True)) as other:
        putting = begin_put(channel, tmp_path, source)
        worker = await worker_of(channel, "banger-put")
        await until((tmp_path / ".p" / "file").exists)
        parent = await agent_pid(channel)
        assert Path(f"/proc/{worker}/cmdline").read_bytes() == Path(f"/proc/{parent}/cmdline").read_bytes()
        held = {number: os.readlink(f"/proc/{worker}/fd/{number}") for number in os.listdir(f"/proc/{worker}/fd")}
        pipes = {number for number, target in held.items() if target.startswith("pipe:")}
        assert pipes == {"0", "1"}
        assert all(target.startswith(os.fspath(tmp_path)) for number, target in held.items() if number not in pipes)
        await other.close_stdin()
        assert (await other.wait()).code == 0
        source.go_on.set()
        await putting


async def test_a_put_that_is_given_up_leaves_nothing(tmp_path: Path) -> None:
    async with connected() as channel:
        for size in (0, 3_000_000):
            source = Source(
                BEGUN + encode(MemoryFile(path=b".p/large", content=bytes(3_000_000)), end=False)[: size or 1]
            )
            putting = begin_put(channel, tmp_path, source)
            await until((tmp_path / ".p" / "file").exists)
            putting.cancel()
            await asyncio.wait((putting,))
            assert list(tmp_path.iterdir()) == []


async def test_a_put_that_is_given_up_while_the_disk_hangs_is_not_finished_later(tmp_path: Path) -> None:
    source = Source(BEGUN)
    async with connected() as channel:
        putting = begin_put(channel, tmp_path, source)
        worker = await worker_of(channel, "banger-put")
        await until((tmp_path / ".p" / "file").exists)
        os.kill(worker, signal.SIGSTOP)
        source.go_on.set()
        await channel.ping()
        putting.cancel()
        await asyncio.wait((putting,))
        assert not channel._streams  # the agent answered for it
        os.kill(worker, signal.SIGCONT)
        await gone(worker)
        assert list(tmp_path.iterdir()) == []


async def test_a_session_that_is_lost_takes_what_it_began_with_it(tmp_path: Path) -> None:
    source = Source(BEGUN)
    async with connected() as channel:
        putting = begin_put(channel, tmp_path, source)
        worker = await worker_of(channel, "banger-put")
        await until((tmp_path / ".p" / "file").exists)
        await channel.aclose()
        source.go_on.set()
        with pytest.raises(Unavailable):
            await putting
        await gone(worker)
        assert list(tmp_path.iterdir()) == []


async def test_switching_off_takes_what_was_begun_with_it(tmp_path: Path) -> None:
    source = Source(BEGUN)
    async with connected() as channel:
        putting = begin_put(channel, tmp_path, source)
        worker = await worker_of(channel, "banger-put")
        await until((tmp_path / ".p" / "file").exists)
        await channel.shutdown()
        source.go_on.set()
        with pytest.raises(BangerError):
            await putting
        await gone(worker)
        assert not (tmp_path / ".p").exists()


async def test_a_put_that_is_killed_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    async with connected() as channel:
        putting = begin_put(channel, tmp_path, Source(BEGUN))
        worker = await worker_of(channel, "banger-put")
        await until((tmp_path / ".p" / "file").exists)
        (stream,) = channel._streams.values()
        os.kill(worker, signal.SIGKILL)
        with pytest.raises(Failed, match="was killed"):
            await stream.succeed()
        assert list(tmp_path.iterdir()) == []
        putting.cancel()
        await asyncio.wait((putting,))


async def test_a_put_that_is_killed_while_more_is_sent_is_an_error(tmp_path: Path) -> None:
    async with connected() as channel:
        putting = asyncio.create_task(channel.put_tree(os.fsencode(tmp_path), forever()))
        worker = await worker_of(channel, "banger-put")
        await until((tmp_path / "zeros").exists)
        os.kill(worker, signal.SIGKILL)
        with pytest.raises(Failed, match="was killed"):
            await putting
        await channel.ping()


async def forever() -> AsyncIterator[bytes]:
    while True:
        yield encode(MemoryFile(path=b"zeros", content=bytes(1 << 20)), end=False)


async def test_a_get_that_is_killed_is_an_error_and_no_tree(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(bytes(30_000_000))
    async with connected() as channel, aclosing(channel.get_tree(os.fsencode(tmp_path))) as tree:
        await anext(tree)
        os.kill(await worker_of(channel, "banger-get"), signal.SIGKILL)
        with pytest.raises(Failed, match="was killed"):
            async for _ in tree:
                pass
        await channel.ping()


async def test_many_leave_nothing_in_the_agent(tmp_path: Path) -> None:
    async def in_and_out(channel: Channel, number: int) -> None:
        directory = tmp_path / str(number)
        source = Source(BEGUN)
        source.go_on.set()
        if number % 5 == 4:
            source.rest = b"?" * 50  # refused
        putting = begin_put(channel, directory, source)
        await asyncio.wait((putting,))
        assert (putting.exception() is None) == (number % 5 != 4)
        async with aclosing(channel.get_tree(os.fsencode(directory))) as tree:
            async for _ in tree:
                if number % 5 == 3:
                    break

    async with connected() as channel:
        parent = await agent_pid(channel)
        descriptors = Path(f"/proc/{parent}/fd")
        before = sorted(os.listdir(descriptors))
        for tens in range(20):
            await asyncio.gather(*(in_and_out(channel, tens * 10 + number) for number in range(10)))
        await until(lambda: not children(parent))
        assert sorted(os.listdir(descriptors)) == before
        assert not channel._streams
        assert len(list(tmp_path.glob("*/x/file"))) == 160
        assert not list(tmp_path.glob("*/.p"))
