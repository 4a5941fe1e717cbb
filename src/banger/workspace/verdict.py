"""The verdict on a patch from a guest: read as strictly as we have git write it, refused at the first doubt. Pure.

The format is that of `git diff --binary --full-index --no-renames` (git-diff(1), "Generating patch text with -p").
Whatever else a patch could say, such as renames, abbreviated ids or text around it, is refused: we did not ask for it.
"""

from __future__ import annotations

import base64
import re
import zlib
from dataclasses import dataclass
from typing import BinaryIO, Final, Literal

from banger.core.errors import Denied
from banger.core.untrusted import printable
from banger.workspace.paths import find_path_problem, find_target_problem

FILES_LIMIT: Final = 200_000
BINARY_LIMIT_BYTES: Final = 1 << 30
_MODES: Final = (b"100644", b"100755", b"120000")
_LINK: Final = b"120000"
_INDEX: Final = re.compile(rb"index ([0-9a-f]{40}|[0-9a-f]{64})\.\.([0-9a-f]{40}|[0-9a-f]{64})(?: ([0-7]{6}))?")
_HUNK: Final = re.compile(rb"@@ -(\d{1,10})(?:,(\d{1,10}))? \+(\d{1,10})(?:,(\d{1,10}))? @@(?: .*)?", re.DOTALL)
_BINARY: Final = re.compile(rb"(literal|delta) (\d{1,12})")
_ESCAPES: Final = {
    ord("a"): 7, ord("b"): 8, ord("t"): 9, ord("n"): 10, ord("v"): 11, ord("f"): 12, ord("r"): 13,
    ord('"'): ord('"'), ord("\\"): ord("\\"),
}  # fmt: skip

Change = Literal["added", "modified", "deleted"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchedFile:
    """What a patch does to one path. Modes are octal text, empty where the file is not on that side."""

    path: bytes
    change: Change
    old_mode: str
    new_mode: str
    binary: bool
    link_target: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchVerdict:
    """A patch that may be shown and applied. Line counts leave binary files out."""

    files: tuple[PatchedFile, ...]
    additions: int
    deletions: int


def judge_patch(patch: BinaryIO, *, size_bytes: int) -> PatchVerdict:
    """Read a whole patch. Raises `Denied` with the path and the reason for the first thing that is wrong."""
    reader = _Reader(patch, size_bytes)
    files: list[PatchedFile] = []
    additions = deletions = 0
    while reader.line is not None:
        if len(files) == FILES_LIMIT:
            raise refused(None, f"it changes more than {FILES_LIMIT} files")
        file = _FileParser(reader)
        files.append(file.parse())
        additions += file.additions
        deletions += file.deletions
    _check_together(files)
    return PatchVerdict(files=tuple(files), additions=additions, deletions=deletions)


def refused(path: bytes | None, reason: str) -> Denied:
    """The error for a patch that is not shown."""
    where = f" at {printable(path, limit=200)}" if path is not None else ""
    return Denied(
        f"the patch from the guest is refused{where}: {reason}",
        hint="nothing was written; look into the guest with `banger vm exec`, and take single files with `scp`",
    )


def _check_together(files: list[PatchedFile]) -> None:
    """One change a path (a change of type is a deletion followed by an addition), and nothing below a link."""
    last: dict[bytes, Change] = {}
    links: set[bytes] = set()
    for file in files:
        before = last.get(file.path)
        if before is not None and not (before == "deleted" and file.change == "added"):
            raise refused(file.path, "it is changed twice")
        last[file.path] = file.change
        links.discard(file.path)
        if file.change != "deleted" and file.link_target is not None:
            links.add(file.path)
    kept = {path for path, change in last.items() if change != "deleted"}
    for path in kept:
        parts = path.split(b"/")
        for end in range(1, len(parts)):
            above = b"/".join(parts[:end])
            if above in links:
                raise refused(path, "it would be written through a symbolic link of the same patch")
            if above in kept:
                raise refused(path, "it lies below something that is a file in the same patch")


class _Reader:
    """Lines of the patch, one ahead, without their line feeds; the size that was announced must be right."""

    def __init__(self, patch: BinaryIO, size_bytes: int) -> None:
        self._patch = patch
        self._left = size_bytes
        self.line: bytes | None = None
        self.next()

    def next(self) -> None:
        raw = self._patch.readline()
        self._left -= len(raw)
        if not raw:
            if self._left != 0:
                raise refused(None, "it is shorter than it was announced")
            self.line = None
            return
        if not raw.endswith(b"\n"):
            raise refused(None, "its last line has no end")
        self.line = raw[:-1]

    def take(self, path: bytes | None) -> bytes:
        line = self.line
        if line is None:
            raise refused(path, "it ends in the middle of a file")
        self.next()
        return line


@dataclass(slots=True)
class _Header:
    old_mode: bytes = b""
    new_mode: bytes = b""
    mode_changed: bool = False
    change: Change = "modified"
    has_index: bool = False


class _FileParser:
    """One file's part of a patch."""

    def __init__(self, reader: _Reader) -> None:
        self._reader = reader
        self._path = b""
        self._header = _Header()
        self._binary = False
        self._added: list[bytes] = []
        self._keep_added = False
        self.additions = 0
        self.deletions = 0

    def parse(self) -> PatchedFile:
        self._path = parse_diff_line(self._reader.take(None))
        problem = find_path_problem(self._path)
        if problem is not None:
            raise refused(self._path, problem)
        self._parse_header()
        header = self._header
        self._keep_added = _LINK in (header.new_mode,)
        self._parse_body()
        return PatchedFile(
            path=self._path,
            change=header.change,
            old_mode=header.old_mode.decode(),
            new_mode=header.new_mode.decode(),
            binary=self._binary,
            link_target=self._judge_link() if header.new_mode == _LINK else None,
        )

    def _parse_header(self) -> None:
        header = self._header
        line = self._peek()
        if line.startswith(b"old mode "):
            header.mode_changed = True
            header.old_mode = self._mode(self._reader.take(self._path), b"old mode ")
            header.new_mode = self._mode(self._reader.take(self._path), b"new mode ")
            if header.old_mode == header.new_mode or _LINK in (header.old_mode, header.new_mode):
                raise refused(self._path, "its change of mode is not one of a file")
        elif line.startswith(b"new file mode "):
            header.change = "added"
            header.new_mode = self._mode(self._reader.take(self._path), b"new file mode ")
        elif line.startswith(b"deleted file mode "):
            header.change = "deleted"
            header.old_mode = self._mode(self._reader.take(self._path), b"deleted file mode ")
        line = self._peek()
        if line.startswith(b"index "):
            self._parse_index(self._reader.take(self._path))
        elif not header.mode_changed or not (
            (line == b"" and self._reader.line is None) or line.startswith(b"diff --git ")
        ):
            raise refused(self._path, "its header is not one that git writes")

    def _parse_index(self, line: bytes) -> None:
        header = self._header
        match = _INDEX.fullmatch(line)
        if match is None or len(match[1]) != len(match[2]):
            raise refused(self._path, "its index line is malformed")
        header.has_index = True
        old_absent, new_absent = not match[1].strip(b"0"), not match[2].strip(b"0")
        if old_absent != (header.change == "added") or new_absent != (header.change == "deleted"):
            raise refused(self._path, "its index line contradicts its header")
        if match[3] is not None:
            if header.change != "modified" or header.mode_changed or match[3] not in _MODES:
                raise refused(self._path, f"its mode {printable(match[3])} is not one a patch may have")
            header.old_mode = header.new_mode = match[3]
        elif header.change == "modified" and not header.mode_changed:
            raise refused(self._path, "its mode is missing")

    def _mode(self, line: bytes, prefix: bytes) -> bytes:
        mode = line.removeprefix(prefix)
        if not line.startswith(prefix) or mode not in _MODES:
            raise refused(self._path, f"its mode {printable(mode, limit=20)} is not one a patch may have")
        return mode

    def _parse_body(self) -> None:
        line = self._peek()
        if line.startswith(b"--- "):
            self._parse_text()
        elif line == b"GIT binary patch":
            self._reader.take(self._path)
            self._binary = True
            if _LINK in (self._header.old_mode, self._header.new_mode):
                raise refused(self._path, "a symbolic link cannot be binary")
            self._parse_binary()
            self._parse_binary()
        elif self._reader.line is not None and not line.startswith(b"diff --git "):
            raise refused(self._path, "something follows it that belongs to no file")
        elif self._header.has_index and self._header.change == "modified" and not self._header.mode_changed:
            raise refused(self._path, "it has no content")

    def _parse_text(self) -> None:
        change = self._header.change
        self._name_line(b"--- ", b"a/", absent=change == "added")
        self._name_line(b"+++ ", b"b/", absent=change == "deleted")
        hunks = 0
        old_end = new_end = 0
        while (line := self._reader.line) is not None and line.startswith(b"@@ "):
            match = _HUNK.fullmatch(self._reader.take(self._path))
            if match is None:
                raise refused(self._path, "a hunk's header is malformed")
            old_start, new_start = int(match[1]), int(match[3])
            old_count = int(match[2]) if match[2] is not None else 1
            new_count = int(match[4]) if match[4] is not None else 1
            if old_start < old_end or new_start < new_end:
                raise refused(self._path, "its hunks are out of order")
            old_end, new_end = old_start + old_count, new_start + new_count
            self._parse_hunk(old_count, new_count)
            hunks += 1
        if hunks == 0:
            raise refused(self._path, "it has no hunk")
        if (change == "added" and self.deletions) or (change == "deleted" and self.additions):
            raise refused(self._path, "its hunks contradict its header")

    def _name_line(self, prefix: bytes, side: bytes, *, absent: bool) -> None:
        line = self._reader.take(self._path)
        if not line.startswith(prefix):
            raise refused(self._path, "the lines that name it are missing")
        name = line.removeprefix(prefix)
        if absent:
            if name != b"/dev/null":
                raise refused(self._path, "the lines that name it contradict its header")
            return
        if name.startswith(b'"'):
            name = unquote(name, self._path)
        elif name.endswith(b"\t"):
            name = name[:-1]
        if name != side + self._path:
            raise refused(self._path, "it is named differently in different lines")

    def _parse_hunk(self, old_left: int, new_left: int) -> None:
        last = b""
        while old_left > 0 or new_left > 0 or self._peek().startswith(b"\\"):
            line = self._reader.take(self._path)
            sign = line[:1]
            if sign == b"\\":
                if last not in (b"+", b"-", b" ") or not line.startswith(b"\\ "):
                    raise refused(self._path, "a hunk is malformed")
                if last != b"-" and self._keep_added and self._added:
                    self._added[-1] = self._added[-1].removesuffix(b"\n")
                last = sign
                continue
            if sign == b"+":
                new_left -= 1
                self.additions += 1
            elif sign == b"-":
                old_left -= 1
                self.deletions += 1
            elif sign == b" ":
                old_left -= 1
                new_left -= 1
            else:
                raise refused(self._path, "a hunk is malformed")
            if old_left < 0 or new_left < 0:
                raise refused(self._path, "a hunk has more lines than it says")
            if self._keep_added and sign in b"+ ":
                self._added.append(line[1:] + b"\n")
            last = sign

    def _parse_binary(self) -> None:
        match = _BINARY.fullmatch(self._reader.take(self._path))
        if match is None:
            raise refused(self._path, "its binary content is malformed")
        size = int(match[2])
        if size > BINARY_LIMIT_BYTES:
            raise refused(self._path, "its binary content is too large")
        inflate = zlib.decompressobj()
        got = 0
        while (line := self._reader.take(self._path)) != b"":
            data = decode_binary_line(line)
            if data is None:
                raise refused(self._path, "its binary content is malformed")
            try:
                while data:
                    got += len(inflate.decompress(data, 1 << 20))
                    data = inflate.unconsumed_tail
                    if got > size:
                        raise refused(self._path, "its binary content is larger than it says")
            except zlib.error as error:
                raise refused(self._path, "its binary content is malformed") from error
        if not inflate.eof or got != size or inflate.unused_data:
            raise refused(self._path, "its binary content has another size than it says")

    def _judge_link(self) -> bytes:
        target = b"".join(self._added)
        if not self._added:
            raise refused(self._path, "a symbolic link has no target")
        problem = find_target_problem(self._path, target)
        if problem is not None:
            raise refused(self._path, f"{problem}: {printable(target, limit=200)}")
        return target

    def _peek(self) -> bytes:
        return self._reader.line or b""


def parse_diff_line(line: bytes) -> bytes:
    """The one path that a `diff --git` line names twice. Raises `Denied`."""
    if not line.startswith(b"diff --git "):
        raise refused(None, "it has text that belongs to no file")
    names = line.removeprefix(b"diff --git ")
    if names.startswith(b'"'):
        middle = names.find(b'" "')
        if middle < 0:
            raise refused(None, "a file's name is malformed")
        old, new = unquote(names[: middle + 1], names), unquote(names[middle + 2 :], names)
    else:
        # Both names are the same, so the line is cut in half, whatever spaces they hold.
        half = (len(names) - 1) // 2
        old, new = names[:half], names[half + 1 :]
        if names[half : half + 1] != b" ":
            raise refused(None, "a file has two names")
    if not old.startswith(b"a/") or not new.startswith(b"b/") or old[2:] != new[2:]:
        raise refused(None, "a file has two names")
    return old[2:]


def unquote(text: bytes, path: bytes) -> bytes:
    """A name in git's C-style quotes (git-config(1), core.quotePath). Raises `Denied`."""
    if len(text) < 2 or not text.startswith(b'"') or not text.endswith(b'"'):
        raise refused(path, "its quotes are malformed")
    out = bytearray()
    position, end = 1, len(text) - 1
    while position < end:
        byte = text[position]
        position += 1
        if byte != ord("\\"):
            if byte == ord('"'):
                raise refused(path, "its quotes are malformed")
            out.append(byte)
            continue
        if position >= end:
            raise refused(path, "its quotes are malformed")
        escape = text[position]
        if escape in _ESCAPES:
            out.append(_ESCAPES[escape])
            position += 1
        else:
            digits = text[position : position + 3]
            if len(digits) != 3 or position + 3 > end or re.fullmatch(rb"[0-3][0-7]{2}", digits) is None:
                raise refused(path, "its quotes are malformed")
            out.append(int(digits, 8))
            position += 3
    return bytes(out)


def decode_binary_line(line: bytes) -> bytes | None:
    """One line of a binary patch: a letter for the count of bytes, then base 85 (gitformat of `GIT binary patch`)."""
    head = line[0]
    if ord("A") <= head <= ord("Z"):
        count = head - ord("A") + 1
    elif ord("a") <= head <= ord("z"):
        count = head - ord("a") + 27
    else:
        return None
    if len(line) - 1 != -(-count // 4) * 5:
        return None
    try:
        return base64.b85decode(line[1:])[:count]
    except ValueError:
        return None
