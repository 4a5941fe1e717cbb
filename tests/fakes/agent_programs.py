"""What the fake agent does for each kind of stream: programs of this host, below a directory of this host."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import stat
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from tests.fakes.agent_session import GuestStream, field

from banger.guest.tree_pack import Directory, HostFile, PackEntry, SymbolicLink, pack_files
from banger.guest.tree_stream import MalformedTree, TreeDecoder, TreeRecord

# A program in Python: it is given its stream, and its result is the exit status.
Script = Callable[[GuestStream], Awaitable[int]]


def place(root: Path, path: str) -> Path:
    """Where a path of the guest is on this host."""
    return Path(os.path.normpath(f"{root}/{path.lstrip('/')}"))


async def run_script(stream: GuestStream, script: Script) -> None:
    await stream.started(field(1, 4711))
    status = await script(stream)
    await stream.end_of_output(0)
    await stream.end_of_output(1)
    await stream.end(field(1, status))


async def run_program(stream: GuestStream, root: Path) -> None:
    """Run it for real. With a terminal, `setsid` of util-linux makes that the controlling one."""
    argv = stream.all(10)
    environment = dict(variable.split(b"=", 1) for variable in stream.all(11))
    directory = place(root, stream.text(12, "/"))
    if not directory.is_dir():
        await stream.fail("invalid", "there is no such directory in the guest")
        return
    flags = stream.number(14)
    with_terminal = bool(flags & 1)
    main, inner = os.openpty() if with_terminal else (-1, asyncio.subprocess.PIPE)
    null = asyncio.subprocess.PIPE if flags & 2 else asyncio.subprocess.DEVNULL
    try:
        process = await asyncio.create_subprocess_exec(
            *((b"setsid", b"-c", *argv) if with_terminal else argv),
            env=environment,
            cwd=directory,
            stdin=inner if with_terminal else null,
            stdout=inner,
            stderr=inner,
            start_new_session=not with_terminal,
        )
    except (FileNotFoundError, PermissionError) as error:
        await stream.fail("not_found" if isinstance(error, FileNotFoundError) else "denied", "it cannot be started")
        return
    finally:
        if with_terminal:
            os.close(inner)
    try:
        stream.on_control = lambda numbers: _control(process.pid, numbers)
        await stream.started(field(1, process.pid))
        if with_terminal:
            await _pump_terminal(stream, main)
        else:
            await _pump_pipes(stream, process)
        status = await process.wait()
        await stream.end(field(2, -status) if status < 0 else field(1, status))
    finally:
        if main >= 0:
            os.close(main)
        if process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        # A pipe whose reader was paused never sees its end by itself, and `wait` waits for that too.
        process._transport.close()  # type: ignore[attr-defined]  # asyncio offers no other way
        await process.wait()


def _control(pid: int, numbers: dict[int, int]) -> None:
    if 1 in numbers:
        with suppress(ProcessLookupError):
            os.killpg(pid, numbers[1])


async def _pump_pipes(stream: GuestStream, process: asyncio.subprocess.Process) -> None:
    async def output(channel: int, reader: asyncio.StreamReader | None) -> None:
        while reader is not None and (data := await reader.read(65536)):
            await stream.send(channel, data)
        await stream.end_of_output(channel)

    async def feed() -> None:
        while (data := await stream.receive()) is not None:
            if process.stdin is not None:
                with suppress(ConnectionError):
                    process.stdin.write(data)
                    await process.stdin.drain()
        if process.stdin is not None:
            process.stdin.close()

    feeding = asyncio.create_task(feed())
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(output(0, process.stdout))
            group.create_task(output(1, process.stderr))
    finally:
        feeding.cancel()
        await asyncio.wait((feeding,))


async def _pump_terminal(stream: GuestStream, main: int) -> None:
    async def feed() -> None:
        while (data := await stream.receive()) is not None:
            os.write(main, data)
        os.write(main, b"\x04")

    os.set_blocking(main, False)
    readable = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(main, readable.set)
    feeding = asyncio.create_task(feed())
    try:
        while True:
            await readable.wait()
            readable.clear()
            try:
                data = os.read(main, 65536)
            except BlockingIOError:
                continue
            except OSError:  # nobody has the terminal open any more
                return
            await stream.send(0, data)
    finally:
        loop.remove_reader(main)
        feeding.cancel()
        await asyncio.wait((feeding,))


async def put(stream: GuestStream, root: Path) -> None:
    destination = place(root, stream.text(10))
    destination.mkdir(parents=True, exist_ok=True)
    if stream.number(11) & 1 and any(destination.iterdir()):
        await stream.fail("invalid", "the destination is not empty")
        return
    await stream.started()
    decoder = TreeDecoder()
    writer = _TreeWriter(destination)
    try:
        while not decoder.finished:
            data = await stream.receive()
            if data is None:
                await stream.fail("invalid", "the tree ended early")
                return
            for event in decoder.feed(data):
                writer.take(event)
    except MalformedTree:
        await stream.fail("invalid", "a record of the tree is malformed")
        return
    finally:
        writer.finish_file()
        if stream.all(12) and not decoder.finished:
            remove(destination / stream.text(12))
    if stream.all(12) and (problem := put_in_place(destination, stream)):
        await stream.fail("failed", problem)
        return
    await stream.end(field(1, 0))


def put_in_place(destination: Path, stream: GuestStream) -> str:
    """The renaming at the end of a tree; what is wrong, or nothing."""
    partial, final = destination / stream.text(12), destination / stream.text(13)
    if stream.number(11) & 4 and partial.is_dir() and final.is_dir() and not final.is_symlink():
        remove(final)
    try:
        partial.rename(final)
    except OSError as error:
        remove(partial)
        return str(error.strerror)
    return ""


def remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


class _TreeWriter:
    """Puts the records of a tree below a directory of a test."""

    def __init__(self, destination: Path) -> None:
        self._destination = destination
        self._file: BinaryIO | None = None
        self._times = (0, 0)

    def take(self, event: TreeRecord | bytes) -> None:
        if isinstance(event, bytes):
            assert self._file is not None
            self._file.write(event)
            return
        self.finish_file()
        path = self._destination / os.fsdecode(event.path)
        if event.kind == "d":
            path.mkdir(exist_ok=True)
            path.chmod(event.mode | 0o700)
            return
        path.unlink(missing_ok=True)
        if event.kind == "l":
            path.symlink_to(os.fsdecode(event.target))
        elif event.kind == "h":
            path.hardlink_to(self._destination / os.fsdecode(event.target))
        else:
            self._file = path.open("wb")
            path.chmod(event.mode)
            self._times = (0, event.mtime_s * 10**9 + event.mtime_ns)

    def finish_file(self) -> None:
        if self._file is not None:
            self._file.flush()
            os.utime(self._file.fileno(), ns=self._times)
            self._file.close()
            self._file = None


async def get(stream: GuestStream, root: Path) -> None:
    path = place(root, stream.text(10))
    if not path.exists():
        await stream.fail("not_found", "it cannot be read")
        return
    await stream.started()
    for piece in pack_files(_walk(path), report=lambda _path, _what: None):
        await stream.send(0, piece)
    await stream.end_of_output(0)
    await stream.end(field(1, 0))


def _walk(top: Path, below: str = "") -> list[PackEntry]:
    entries: list[PackEntry] = []
    for name in sorted(entry.name for entry in (top / below).iterdir()):
        inner = f"{below}/{name}" if below else name
        status = (top / inner).lstat()
        path = os.fsencode(inner)
        if stat.S_ISLNK(status.st_mode):
            entries.append(SymbolicLink(path=path, target=os.fsencode((top / inner).readlink())))
        elif stat.S_ISDIR(status.st_mode):
            entries.append(Directory(path=path, mode=stat.S_IMODE(status.st_mode), mtime_ns=status.st_mtime_ns))
            entries += _walk(top, inner)
        elif stat.S_ISREG(status.st_mode):
            entries.append(HostFile(path=path, root=top, name=path))
    return entries


async def connect(stream: GuestStream) -> None:
    try:
        reader, writer = await asyncio.open_connection(stream.text(10, "127.0.0.1"), stream.number(11))
    except OSError as error:
        await stream.fail("denied", "the connection failed", error.errno or 0)
        return
    await stream.started()

    async def outwards() -> None:
        while (data := await stream.receive()) is not None:
            writer.write(data)
            await writer.drain()
        writer.write_eof()

    async def inwards() -> None:
        while data := await reader.read(65536):
            await stream.send(0, data)
        await stream.end_of_output(0)

    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(outwards())
            group.create_task(inwards())
        await stream.end(field(1, 0))
    finally:
        writer.close()


async def info(stream: GuestStream, *, ports: Sequence[int] = ()) -> None:
    """`ports` are what listens on 127.0.0.1 besides the port 8080."""
    await stream.end(
        field(20, "0.50 0.25 0.10 1/50 123\n"),
        field(21, "MemTotal:        1000000 kB\nMemFree: 1 kB\nMemAvailable:     600000 kB\n"),
        field(22, "12.34 20.00\n"),
        field(
            23,
            "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
            "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 777 1 0\n"
            "   1: 0100007F:1F90 0100007F:9999 01 00000000:00000000 00:00000000 00000000     0        0 778 1 0\n"
            + "".join(f" 9: 0100007F:{port:04X} 00000000:0000 0A 0:0 00:0 0 0 0 {port} 1 0\n" for port in ports),
        ),
        field(27, "777 42 server"),
        field(28, 7),
        field(29, b"".join(number.to_bytes(8, "little") for number in (4096, 1000, 400))),
        field(30, "6.1.0-fake"),
        field(31, "lo 127.0.0.1"),
    )
