"""The output of a command: standard output, a new file, or whatever already has the name."""

from __future__ import annotations

import json
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, BinaryIO, NoReturn

from banger.api import framing
from banger.core.errors import Invalid

if TYPE_CHECKING:
    from banger.api.client import Connection
    from banger.cli.progress import Progress


@contextmanager
def open_output(name: str | None) -> Iterator[BinaryIO]:
    """Standard output for None; else a file that takes the name only when everything is in it.

    A symbolic link stays one: the file that it points to is replaced. What exists and is not a file, a device or a
    named pipe, is written into as it is. Raises `Invalid` at once for a directory, and for what cannot be written.
    """
    if name is None:
        yield sys.stdout.buffer
        return
    try:
        found = os.stat(name)
    except FileNotFoundError:
        found = None
    except OSError as error:
        _refuse(name, error)
    if not os.path.basename(name) or (found is not None and stat.S_ISDIR(found.st_mode)):
        raise Invalid(f"{ascii(name)} names a directory", hint="give --output the name of a file")
    if found is not None and not stat.S_ISREG(found.st_mode):
        with _open(name, name, "wb") as stream:
            yield stream
            stream.flush()
        return
    final = os.path.realpath(name)
    temporary = f"{final}.{os.getpid()}.part"
    file = _open(name, temporary, "xb")
    try:
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, final)  # noqa: PTH105 - pathlib adds nothing here
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)  # noqa: PTH108 - as above
        raise


def receive_output(daemon: Connection, output: BinaryIO, progress: Progress) -> Any:  # noqa: ANN401 - JSON
    """Write what a stream sends as it comes; its result."""
    for frame_type, payload in daemon.frames():
        if frame_type == framing.EVENT:
            progress.event(json.loads(payload))
        elif frame_type == framing.OUTPUT:
            output.write(payload)
        elif frame_type == framing.RESULT:
            output.flush()
            return json.loads(payload)
    raise AssertionError("`frames` ends with a result or an error")


def _open(name: str, path: str, mode: str) -> BinaryIO:
    try:
        stream: BinaryIO = open(path, mode)  # type: ignore[assignment]  # noqa: SIM115, PTH123 - the caller closes it
    except OSError as error:
        _refuse(name, error)
    return stream


def _refuse(name: str, error: OSError) -> NoReturn:
    raise Invalid(f"{ascii(name)} cannot be written: {error.strerror}", hint="give --output another name") from error
