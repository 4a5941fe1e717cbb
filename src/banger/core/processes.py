"""The one module that starts processes, and that identifies them.

Argument lists only, never a shell; standard input is null unless given; the environment is built from an allow-list;
every program runs in a session of its own so that a Ctrl-C on a terminal reaches us and not it.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from banger.core.errors import Failed, TimedOut, Unavailable
from banger.core.untrusted import printable

_INHERITED: Final = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "USER", "LOGNAME")
_PROXIES: Final = ("http_proxy", "https_proxy", "no_proxy", "all_proxy")
_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_OUTPUT_LIMIT_BYTES: Final = 64 << 20
_DRAIN_DEADLINE_S: Final = 1.0
_REAP_DEADLINE_S: Final = 10.0
_DRAIN_BYTES: Final = 1 << 16
_READ_BYTES: Final = 1 << 18


@dataclass(frozen=True, slots=True)
class Completed:
    """How a program ended. `returncode` is negative for a signal, as in `subprocess`."""

    argv: tuple[str, ...]
    returncode: int
    stdout: bytes
    stderr: bytes


class CommandFailed(Failed):
    """A program that we started ended with a status we do not accept."""

    def __init__(self, completed: Completed, *, hint: str = "") -> None:
        program = os.path.basename(completed.argv[0])
        said = printable(completed.stderr.strip().splitlines()[-1] if completed.stderr.strip() else b"", limit=400)
        how = (
            f"was killed by {_name_signal(-completed.returncode)}"
            if completed.returncode < 0
            else f"ended with status {completed.returncode}"
        )
        super().__init__(
            f"{program} {how}" + (f": {said}" if said else ""),
            hint=hint,
            command=shlex.join(map(printable, completed.argv)),
        )
        self.completed = completed


class PrintedTooMuch(Failed):
    """A program that we started printed more than is held of it, and was ended."""

    def __init__(self, program: str, *, hint: str = "") -> None:
        super().__init__(f"{printable(program)} printed more than {_OUTPUT_LIMIT_BYTES} bytes", hint=hint)


def _name_signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # most real-time signals have no name
        return f"signal {number}"


def base_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment that our child processes get: a few inherited variables and `extra`."""
    environment = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    path = environment.get("PATH", _PATH).split(":")
    # Debian leaves the administrator's directories out of a user's PATH: mke2fs and depmod need no root, and are there.
    environment["PATH"] = ":".join([*path, *(place for place in _PATH.split(":") if place not in path)])
    environment.update(extra or {})
    return environment


def proxy_environment() -> dict[str, str]:
    """The proxy variables of our environment, for programs that download."""
    names = (*_PROXIES, *(name.upper() for name in _PROXIES))
    return {name: os.environ[name] for name in names if name in os.environ}


def guest_proxies() -> dict[str, str]:
    """The same for programs of a guest, without user names and passwords: what runs there may be anybody's."""
    return {name: address for name, value in proxy_environment().items() if (address := without_login(value))}


def without_login(proxy: str) -> str:
    """The address of a proxy without what comes before the host; empty where that cannot be told."""
    scheme, colon, rest = proxy.rpartition("://")
    authority, slash, path = rest.partition("/")
    found = f"{scheme}{colon}{authority.rpartition('@')[2]}{slash}{path}"
    return "" if "@" in found else found


async def start(
    argv: Sequence[str],
    *,
    environment: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: int = asyncio.subprocess.DEVNULL,
    stdout: int = asyncio.subprocess.DEVNULL,
    stderr: int = asyncio.subprocess.DEVNULL,
    pass_fds: Sequence[int] = (),
) -> asyncio.subprocess.Process:
    """Start a program in a new session. Raises `Unavailable` when it is not there or may not be run."""
    try:
        return await asyncio.create_subprocess_exec(
            *argv,
            env=base_environment(environment),
            cwd=cwd,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            pass_fds=tuple(pass_fds),
            start_new_session=True,
        )
    except (FileNotFoundError, PermissionError) as error:
        program = os.path.basename(argv[0])
        raise Unavailable(
            f"cannot run {printable(program)}: {error.strerror}",
            hint="run `banger doctor` to see which packages are missing",
            program=program,
        ) from error


async def run(
    argv: Sequence[str],
    *,
    environment: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: bytes | None = None,
    timeout_s: float = 60.0,
    accepted: Sequence[int] = (0,),
    hint: str = "",
) -> Completed:
    """Run a program to its end and return its status and output.

    Raises `CommandFailed` for a status outside `accepted`, `TimedOut` after `timeout_s`, `Unavailable` when it cannot
    be started, `PrintedTooMuch` as soon as it does. Whatever happens, the program is gone afterwards.
    """
    process = await start(
        argv,
        environment=environment,
        cwd=cwd,
        stdin=asyncio.subprocess.DEVNULL if stdin is None else asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(timeout_s):
            stdout, stderr = await _communicate(process, os.path.basename(argv[0]), stdin, hint=hint)
    except TimeoutError as error:
        raise TimedOut(f"{os.path.basename(argv[0])} did not end within {timeout_s:g} s", hint=hint) from error
    finally:
        await end(process)
    assert process.returncode is not None
    completed = Completed(tuple(argv), process.returncode, stdout, stderr)
    if completed.returncode not in accepted:
        raise CommandFailed(completed, hint=hint)
    return completed


def run_here(argv: Sequence[str]) -> int:
    """Run a program in the user's terminal: with our environment and standard input; its output goes to standard error.

    For the command line. Its exit status, negative for a signal. Raises `Unavailable` when it cannot be started.
    """
    try:
        return subprocess.run(argv, stdout=2, check=False).returncode
    except OSError as error:
        program = printable(os.path.basename(argv[0]))
        raise Unavailable(f"cannot run {program}: {error.strerror}", hint="run it yourself, as root") from error


def read_here(argv: Sequence[str], *, environment: Mapping[str, str], timeout_s: float = 30.0) -> Completed:
    """Run a program with little output to its end, whatever its status. For the command line. Raises `Unavailable`."""
    program = printable(os.path.basename(argv[0]))
    try:
        done = subprocess.run(
            argv, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout_s, check=False
        )
    except OSError as error:
        raise Unavailable(f"cannot run {program}: {error.strerror}", hint="is it installed?") from error
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"{program} did not end within {timeout_s:g} s", hint="try it yourself") from error
    return Completed(tuple(argv), done.returncode, done.stdout, done.stderr)


async def run_to_file(argv: Sequence[str], path: Path, *, timeout_s: float, hint: str = "") -> None:
    """Run a program whose standard output becomes a new file. Errors as `run`."""
    with path.open("xb") as output:
        process = await start(argv, stdout=output.fileno(), stderr=asyncio.subprocess.PIPE)
        try:
            async with asyncio.timeout(timeout_s):
                _, stderr = await _communicate(process, os.path.basename(argv[0]), None, hint=hint)
        except TimeoutError as error:
            raise TimedOut(f"{os.path.basename(argv[0])} did not end within {timeout_s:g} s", hint=hint) from error
        finally:
            await end(process)
    assert process.returncode is not None
    if process.returncode != 0:
        raise CommandFailed(Completed(tuple(argv), process.returncode, b"", stderr), hint=hint)


async def _communicate(
    process: asyncio.subprocess.Process, program: str, stdin: bytes | None, *, hint: str
) -> tuple[bytes, bytes]:
    """What a program says while it is fed, once it has ended. Raises `PrintedTooMuch`.

    `Process.communicate` would hold all of it first: a program that reads what a guest has made may print for ever.
    """
    tasks = (
        asyncio.create_task(_feed(process, stdin)),
        asyncio.create_task(_collect(process.stdout, program, hint=hint)),
        asyncio.create_task(_collect(process.stderr, program, hint=hint)),
    )
    try:
        _, stdout, stderr = await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    await process.wait()
    return stdout, stderr


async def _feed(process: asyncio.subprocess.Process, data: bytes | None) -> bytes:
    if process.stdin is not None:
        with suppress(BrokenPipeError, ConnectionResetError):  # it need not read all of it
            process.stdin.write(data or b"")
            await process.stdin.drain()
        process.stdin.close()
    return b""


async def _collect(stream: asyncio.StreamReader | None, program: str, *, hint: str) -> bytes:
    said = bytearray()
    while stream is not None and (data := await stream.read(_READ_BYTES)):
        said += data
        if len(said) > _OUTPUT_LIMIT_BYTES:
            raise PrintedTooMuch(program, hint=hint)
    return bytes(said)


async def end(process: asyncio.subprocess.Process, *, deadline_s: float = _REAP_DEADLINE_S) -> None:
    """Kill the whole session of `process` if it still runs, reap it, and let go of its pipes.

    Nobody else may be reading from it any more. One that hangs in the kernel, as on a disk that is not reached any
    more, is not waited for after `deadline_s`: it is reaped when it goes.
    """
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    for stream in (process.stdout, process.stderr):
        # A pipe that was not read to its end keeps asyncio from seeing the end of the process. Somebody outside the
        # session may still hold it.
        with suppress(TimeoutError):
            async with asyncio.timeout(_DRAIN_DEADLINE_S):
                while stream is not None and await stream.read(_DRAIN_BYTES):
                    pass
    with suppress(TimeoutError):
        async with asyncio.timeout(deadline_s):
            await process.wait()


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """The identity of a process, so that a reused pid is never mistaken for it.

    `start_ticks` is field 22 of /proc/PID/stat (proc(5)), `executable` the device and inode of its program.
    """

    pid: int
    start_ticks: int
    boot_id: str
    executable: str


def read_boot_id() -> str:
    """The kernel's id of this boot (random(4))."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def read_identity(pid: int) -> ProcessIdentity | None:
    """The process that has `pid` now, or None if there is none (a zombie does not count)."""
    try:
        stat = os.fsdecode(Path(f"/proc/{pid}/stat").read_bytes())  # a process may call itself anything
        program = os.stat(f"/proc/{pid}/exe")
    except OSError:
        return None
    fields = stat[stat.rindex(")") + 2 :].split()
    if fields[0] in ("Z", "X"):
        return None
    return ProcessIdentity(pid, int(fields[19]), read_boot_id(), f"{program.st_dev}:{program.st_ino}")


def open_pidfd(identity: ProcessIdentity) -> int | None:
    """A pidfd of exactly that process, or None when it is gone or a stranger has its pid.

    The descriptor is opened first and the identity checked afterwards: the check then holds for the descriptor.
    """
    try:
        pidfd = os.pidfd_open(identity.pid)
    except OSError:
        return None
    if read_identity(identity.pid) == identity:
        return pidfd
    os.close(pidfd)
    return None
