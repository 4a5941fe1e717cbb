"""A program that runs in a guest."""

from __future__ import annotations

import errno
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from banger.core.errors import BangerError, Denied, Invalid, NotFound
from banger.core.untrusted import printable
from banger.guest.frames import FRAME_LIMIT, encode_fields, number
from banger.guest.streams import Chunk, Stream, error_of, exit_of

KIND_EXEC: Final = 1
NOT_EXECUTABLE: Final = 126  # POSIX, "Exit Status for Commands"
NOT_IN_GUEST: Final = 127
_PTY: Final = 1
_STDIN: Final = 2
_MAKE_DIRECTORY: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class PtySize:
    """A terminal's size in characters."""

    rows: int
    columns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecRequest:
    """What to run: the whole environment, an absolute directory, and as `user` or `user:group`, names or numbers.

    `make_directory` makes the directory where it is missing, which container runtimes do with an image's.
    """

    argv: Sequence[str | bytes]
    environment: Mapping[str, str] = field(default_factory=dict)
    cwd: str = "/"
    user: str | None = None
    pty: PtySize | None = None
    stdin: bool = False
    make_directory: bool = False


@dataclass(frozen=True, slots=True)
class ExitStatus:
    """Either `code` or `signal` is set."""

    code: int | None
    signal: int | None


_NO_USER: Final = "there is no such user in the guest"  # agent/src/exec.c


def explain_no_start(error: BangerError, program: str | bytes) -> BangerError:
    """The error for a program that did not start, with the `status` that a shell would return, if there is one."""
    name = printable(program, limit=80)
    if isinstance(error, Invalid) and error.data.get("errno") in (errno.ENOENT, errno.ENOTDIR):
        error.hint = "is the workspace gone? `--cwd /` runs the command elsewhere"
    elif isinstance(error, Invalid) and error.summary.endswith(_NO_USER):
        error.hint = "`--user` takes a name or a number that /etc/passwd has there"
    if isinstance(error, NotFound):
        return NotFound(
            f"the guest has no program {name}, or lacks what that needs to run",
            hint=f"is {name} installed in the guest, and on its PATH?",
            status=NOT_IN_GUEST,
        )
    if isinstance(error, Denied) or error.data.get("errno") == errno.ENOEXEC:
        return type(error)(
            f"the guest cannot run {name}: {error.summary.rpartition(': ')[2]}",
            hint="is it an executable file that this user may run?",
            status=NOT_EXECUTABLE,
        )
    return error


class GuestProcess:
    """Talks to a running program."""

    def __init__(self, stream: Stream, pid: int) -> None:
        self._stream = stream
        self.pid = pid

    async def read(self) -> Chunk | None:
        """The next output in the order it was written to each channel, or None at the end."""
        return await self._stream.read()

    async def write(self, data: bytes) -> None:
        """Send standard input; waits while the program does not read."""
        await self._stream.write(data)

    async def close_stdin(self) -> None:
        self._stream.write_eof()

    def signal(self, signal_number: int) -> None:
        """Send a signal to the program's process group, or to the foreground group of its terminal."""
        self._stream.control(encode_fields([(1, number(signal_number))]))

    def resize(self, rows: int, columns: int) -> None:
        """Tell the terminal its new size."""
        self._stream.control(encode_fields([(2, number(rows)), (3, number(columns))]))

    async def wait(self) -> ExitStatus:
        """How it ended. Raises what the guest reports when it could not be run to its end."""
        fields = await self._stream.end()
        error = error_of(fields)
        if error is not None:
            raise error
        return ExitStatus(*exit_of(fields))


def encode_exec(request: ExecRequest) -> bytes:
    """The payload of the OPEN frame. Raises `Invalid` when it does not fit a frame or holds a NUL."""
    fields: list[tuple[int, bytes]] = [(1, bytes([KIND_EXEC]))]
    fields += [(10, _bytes(argument)) for argument in request.argv]
    fields += [
        (11, f"{name}={value}".encode("utf-8", "surrogateescape")) for name, value in request.environment.items()
    ]
    fields.append((12, _bytes(request.cwd)))
    if request.user is not None:
        fields.append((13, request.user.encode()))
    flags = (_PTY if request.pty else 0) | (_STDIN if request.stdin else 0)
    flags |= _MAKE_DIRECTORY if request.make_directory else 0
    fields.append((14, number(flags)))
    if request.pty is not None:
        fields += [(15, number(request.pty.rows)), (16, number(request.pty.columns))]
    if any(b"\0" in value for tag, value in fields if tag in (10, 11, 12, 13)):
        raise Invalid("a command, directory or environment variable has a NUL character in it")
    payload = encode_fields(fields)
    if len(payload) > FRAME_LIMIT:
        raise Invalid(
            "the command with its environment is longer than 64 KiB",
            hint="put it into a script in the workspace, or send it to standard input",
        )
    return payload


def encode_entrypoint(request: ExecRequest, *, stop_signal: int) -> bytes:
    """What the seed says of the program that starts with the machine: an exec, and by which signal it is ended."""
    return encode_exec(request) + encode_fields([(17, number(stop_signal))])


def _bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")
