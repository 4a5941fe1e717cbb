"""The hunks of a text file in a patch."""

from __future__ import annotations

import re
from typing import Final, Literal

from banger.workspace.patch_lines import PatchLines, refused
from banger.workspace.paths import PATH_LIMIT

_RANGE: Final = re.compile(rb"@@ -(\d{1,10})(?:,(\d{1,10}))? \+(\d{1,10})(?:,(\d{1,10}))? @@(?: .*)?", re.DOTALL)
_NO_LINE_FEED: Final = b"\\ No newline at end of file"


class HunkReader:
    """Reads all hunks of one file. With `keep_result` the new content is kept if the hunks show the whole of it."""

    def __init__(
        self,
        lines: PatchLines,
        path: bytes,
        *,
        change: Literal["added", "modified", "deleted"],
        keep_result: bool,
    ) -> None:
        self._lines = lines
        self._path = path
        self._change = change
        self._keep = keep_result
        self._kept = bytearray()
        self._hunks = 0
        self._old_end = 1  # the first line that no hunk has touched yet
        self._old_complete = False  # the side was seen to its end, which has no line feed
        self._new_complete = False
        self._covers_start = False
        self.additions = 0
        self.deletions = 0

    @property
    def result(self) -> bytes | None:
        """The whole new content of a short file that ends without a line feed, as link targets do; else None."""
        whole = self._keep and self._hunks == 1 and self._covers_start and self._new_complete
        return bytes(self._kept) if whole and len(self._kept) <= PATH_LIMIT else None

    def read(self) -> None:
        """Take the lines of the hunks. Raises `Denied`."""
        while (line := self._lines.coming) is not None and line.startswith(b"@@ "):
            self._read_hunk(*self._read_range())
            self._hunks += 1
        if self._hunks == 0:
            raise refused(self._path, "it has no hunk")
        if line is not None and not line.startswith(b"diff --git "):
            raise refused(self._path, "it has more lines than it says")

    def _read_range(self) -> tuple[int, int]:
        match = _RANGE.fullmatch(self._lines.take(self._path))
        if match is None:
            raise refused(self._path, "a hunk's header is malformed")
        old_start, old_count, new_start, new_count = (1 if field is None else int(field) for field in match.groups())
        self._check_change(old_start, old_count, new_start, new_count)
        # An empty side is named by the line before it.
        old_first = old_start + (old_count == 0)
        new_first = new_start + (new_count == 0)
        if old_first < self._old_end or new_first - old_first != self.additions - self.deletions:
            raise refused(self._path, "its hunks do not follow from each other")
        if old_count == new_count == 0 or self._old_complete or self._new_complete:
            raise refused(self._path, "its hunks continue after the end of the file")
        self._covers_start = old_first == 1
        self._old_end = old_first + old_count
        return old_count, new_count

    def _check_change(self, old_start: int, old_count: int, new_start: int, new_count: int) -> None:
        if self._change == "added":
            fits = (old_start, old_count, new_start) == (0, 0, 1)
        elif self._change == "deleted":
            fits = (new_start, new_count, old_start) == (0, 0, 1)
        else:
            fits = True
        if not fits or (self._change != "modified" and self._hunks):
            raise refused(self._path, "its hunks contradict its header")

    def _read_hunk(self, old_left: int, new_left: int) -> None:
        last = b""
        while old_left or new_left:
            line = self._lines.take(self._path)
            sign = line[:1]
            if sign == b"\\":
                self._end_side(line, last)
                last = b""
                continue
            if sign not in (b" ", b"-", b"+") or not sign:
                raise refused(self._path, "a hunk has fewer lines than it says")
            if sign != b"+":
                old_left -= 1
                self._check_side(complete=self._old_complete, left=old_left)
            if sign != b"-":
                new_left -= 1
                self._check_side(complete=self._new_complete, left=new_left)
                if self._keep and len(self._kept) <= PATH_LIMIT:
                    self._kept += line[1:] + b"\n"
            self.additions += sign == b"+"
            self.deletions += sign == b"-"
            last = sign
        coming = self._lines.coming
        if coming is not None and coming.startswith(b"\\"):
            self._end_side(self._lines.take(self._path), last)

    def _check_side(self, *, complete: bool, left: int) -> None:
        if left < 0:
            raise refused(self._path, "a hunk has more lines than it says")
        if complete:
            raise refused(self._path, "a hunk continues after the end of the file")

    def _end_side(self, line: bytes, last: bytes) -> None:
        if line != _NO_LINE_FEED or not last:
            raise refused(self._path, "a hunk is malformed")
        if last != b"+":
            self._old_complete = True
        if last != b"-":
            self._new_complete = True
            if self._kept.endswith(b"\n"):
                del self._kept[-1]
