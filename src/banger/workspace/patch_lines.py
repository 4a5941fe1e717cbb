"""The lines of a patch, one ahead, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO, Final

from banger.core.errors import Denied
from banger.core.untrusted import printable

LINE_LIMIT_BYTES: Final = 1 << 16
CHECKED_LINES: Final = 4096


def refused(path: bytes | None, reason: str) -> Denied:
    """The error for a patch that is not shown."""
    where = f" at {show_path(path)}" if path is not None else ""
    return Denied(
        f"the patch from the guest is refused{where}: {reason}",
        hint="nothing was written; look into the guest with `banger vm exec`, and take single files with `scp`",
        reason=reason,
    )


def show_path(path: bytes) -> str:
    """A path with its invisible characters escaped too, because a name may only look harmless."""
    shown = printable(path, limit=200)
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in shown)


class PatchLines:
    """Lines without their line feeds. `size_bytes` is what the patch must have in all.

    Of a line beyond `LINE_LIMIT_BYTES` only the beginning is kept, and `cut` is true: fine for a line of a text file,
    impossible for anything else. `check` is called now and then.
    """

    def __init__(self, patch: BinaryIO, *, size_bytes: int, check: Callable[[], None]) -> None:
        self._patch = patch
        self._check = check
        self._unchecked = 0
        self._size = size_bytes
        self._left = size_bytes
        self._next_start = 0
        self._next_cut = False
        self._next: bytes | None = None
        self.cut = False
        self._advance()

    @property
    def coming(self) -> bytes | None:
        """The next line, or None at the end."""
        return self._next

    @property
    def position(self) -> int:
        """Where the next line begins, in bytes from the beginning of the patch."""
        return self._next_start

    def take(self, path: bytes | None) -> bytes:
        """The next line. Raises `Denied` at the end, because only a part of a file can be cut off there."""
        line = self._next
        if line is None:
            raise refused(path, "it ends in the middle of a file")
        self.cut = self._next_cut
        self._advance()
        return line

    def take_header(self, path: bytes | None) -> bytes:
        """The next line, which must be short enough to be complete."""
        line = self.take(path)
        if self.cut:
            raise refused(path, "a line of its header is too long")
        return line

    def _advance(self) -> None:
        self._unchecked += 1
        if self._unchecked >= CHECKED_LINES:
            self._unchecked = 0
            self._check()
        self._next_start = self._size - self._left
        raw = self._patch.readline(LINE_LIMIT_BYTES)
        self._left -= len(raw)
        if not raw:
            if self._left != 0:
                raise refused(None, "it has another size than was announced")
            self._next = None
            return
        self._next_cut = False
        last = raw
        while not last.endswith(b"\n"):
            last = self._patch.readline(LINE_LIMIT_BYTES)
            self._left -= len(last)
            if not last:
                raise refused(None, "its last line has no end")
            self._next_cut = True
        self._next = raw if self._next_cut else raw[:-1]
