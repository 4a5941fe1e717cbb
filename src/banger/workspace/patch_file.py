"""One file's part of a patch, read by the grammar that `banger.workspace.verdict` names."""

from __future__ import annotations

import re
from typing import Final, Literal

from banger.core.untrusted import printable
from banger.workspace.binary_hunk import BinaryHunk, BinaryHunkReader, MalformedHunk
from banger.workspace.patch_hunks import HunkReader
from banger.workspace.patch_lines import PatchLines, refused
from banger.workspace.paths import find_path_problem, find_target_problem
from banger.workspace.quoting import unquote

LINK_MODE: Final = "120000"
_LINK: Final = b"120000"
_MODES: Final = (b"100644", b"100755", _LINK)
_EMPTY_BLOBS: Final = (
    b"e69de29bb2d1d6434b8b29ae775ad8c2e48c5391",
    b"473a0f4c3be8a93681a267e3b1e9a7dcda1185436fe141f7749120a303721813",
)
_INDEX: Final = re.compile(rb"index ([0-9a-f]{40}|[0-9a-f]{64})\.\.([0-9a-f]{40}|[0-9a-f]{64})(?: ([0-7]{1,12}))?")
_NOT_ASKED_FOR: Final = (
    (b"rename ", "it renames a file, which is not asked for"),
    (b"copy ", "it copies a file, which is not asked for"),
    (b"similarity ", "it renames or copies a file, which is not asked for"),
    (b"dissimilarity ", "it is a rewrite in a form that is not asked for"),
)


class FileParser:
    """Reads one file's header and content. Raises `Denied` at the first doubt; its attributes are valid afterwards."""

    def __init__(self, lines: PatchLines) -> None:
        self._lines = lines
        self.path = b""
        self.change: Literal["added", "modified", "deleted"] = "modified"
        self.old_mode = b""
        self.new_mode = b""
        self.binary = False
        self.binary_bytes = 0
        self.delta_operations = 0
        self.link_target: bytes | None = None
        self.additions = 0
        self.deletions = 0
        self._mode_changed = False
        self._ids: tuple[bytes, bytes] | None = None

    @property
    def ids(self) -> tuple[bytes, bytes]:
        """Of the old and the new content; empty when only the mode changes."""
        return self._ids or (b"", b"")

    def parse(self) -> None:
        """Take all lines of this file."""
        self.path = parse_diff_line(self._lines.take_header(None))
        problem = find_path_problem(self.path)
        if problem is not None:
            raise refused(self.path, problem)
        self._parse_modes()
        if self._coming(b"index "):
            self._parse_index()
        elif not self._mode_changed:
            raise refused(self.path, "its header is not one that git writes")
        if self._coming(b"--- "):
            self._parse_text()
        elif self._lines.coming == b"GIT binary patch":
            self._parse_binary()
        else:
            self._check_absent_content()

    def _parse_modes(self) -> None:
        for prefix, reason in _NOT_ASKED_FOR:
            if self._coming(prefix):
                raise refused(self.path, reason)
        if self._coming(b"old mode "):
            self._mode_changed = True
            self.old_mode = self._take_mode(b"old mode ")
            self.new_mode = self._take_mode(b"new mode ")
            if self.old_mode == self.new_mode or _LINK in (self.old_mode, self.new_mode):
                raise refused(self.path, "its change of mode is not one of a file")
        elif self._coming(b"new file mode "):
            self.change = "added"
            self.new_mode = self._take_mode(b"new file mode ")
        elif self._coming(b"deleted file mode "):
            self.change = "deleted"
            self.old_mode = self._take_mode(b"deleted file mode ")

    def _take_mode(self, prefix: bytes) -> bytes:
        line = self._lines.take_header(self.path)
        if not line.startswith(prefix):
            raise refused(self.path, "its header is not one that git writes")
        return self._check_mode(line.removeprefix(prefix))

    def _check_mode(self, mode: bytes) -> bytes:
        if mode == b"160000":
            raise refused(self.path, "it is a git repository of its own (a submodule), which cannot be exported")
        if mode not in _MODES:
            raise refused(self.path, f"its mode {printable(mode, limit=20)} is not one a patch may have")
        return mode

    def _parse_index(self) -> None:
        match = _INDEX.fullmatch(self._lines.take_header(self.path))
        if match is None or len(match[1]) != len(match[2]) or match[1] == match[2]:
            raise refused(self.path, "its index line is malformed")
        self._ids = (match[1], match[2])
        absent = (not match[1].strip(b"0"), not match[2].strip(b"0"))
        if absent != (self.change == "added", self.change == "deleted"):
            raise refused(self.path, "its index line contradicts its header")
        if (match[3] is not None) != (self.change == "modified" and not self._mode_changed):
            raise refused(self.path, "its mode is missing, or is there twice")
        if match[3] is not None:
            self.old_mode = self.new_mode = self._check_mode(match[3])

    def _check_absent_content(self) -> None:
        """Without content there is a change of mode alone, or an empty file that comes or goes."""
        coming = self._lines.coming
        if coming is not None and not coming.startswith(b"diff --git "):
            raise refused(self.path, "something follows it that belongs to no file")
        if _LINK in (self.old_mode, self.new_mode):
            raise refused(self.path, "a symbolic link has no target")
        if self._ids is not None and (
            self.change == "modified" or self._ids[self.change == "added"] not in _EMPTY_BLOBS
        ):
            raise refused(self.path, "it has no content")

    def _parse_text(self) -> None:
        if self._ids is None:
            raise refused(self.path, "its header is not one that git writes")
        self._take_name(b"--- ", b"a/", absent=self.change == "added")
        self._take_name(b"+++ ", b"b/", absent=self.change == "deleted")
        is_link = self.new_mode == _LINK
        hunks = HunkReader(self._lines, self.path, change=self.change, keep_result=is_link)
        hunks.read()
        self.additions, self.deletions = hunks.additions, hunks.deletions
        if is_link:
            self._judge_link(hunks.result)

    def _take_name(self, prefix: bytes, side: bytes, *, absent: bool) -> None:
        line = self._lines.take_header(self.path)
        name = line.removeprefix(prefix)
        if b" " in self.path and not absent:
            # git ends such a name by a tab, so that other programs do not take the space for its end.
            name = name.removesuffix(b"\t")
        named = name == b"/dev/null" if absent else unquote(name) == side + self.path
        if not named or not line.startswith(prefix):
            raise refused(self.path, "the lines that name it contradict each other")

    def _judge_link(self, target: bytes | None) -> None:
        if target is None:
            raise refused(self.path, "the whole target of a symbolic link cannot be told")
        problem = find_target_problem(self.path, target)
        if problem is not None:
            raise refused(self.path, f"{problem}: {printable(target, limit=200)}")
        self.link_target = target

    def _parse_binary(self) -> None:
        self._lines.take_header(self.path)
        self.binary = True
        if self._ids is None or _LINK in (self.old_mode, self.new_mode):
            raise refused(self.path, "only the content of a file can be binary")
        forward, reverse = self._take_binary_hunk(), self._take_binary_hunk()
        old, new = reverse.result_bytes, forward.result_bytes
        self.binary_bytes, self.delta_operations = old + new, forward.operations + reverse.operations
        if forward.source_bytes not in (None, old) or reverse.source_bytes not in (None, new):
            raise refused(self.path, "its binary content contradicts itself")
        if self.change != "modified" and (forward.source_bytes is not None or reverse.source_bytes is not None):
            raise refused(self.path, "its binary content contradicts its header")
        if (self.change == "added" and old != 0) or (self.change == "deleted" and new != 0):
            raise refused(self.path, "its binary content contradicts its header")

    def _take_binary_hunk(self) -> BinaryHunk:
        try:
            reader = BinaryHunkReader(self._lines.take_header(self.path))
            while line := self._lines.take_header(self.path):
                reader.take(line)
            return reader.end()
        except MalformedHunk as error:
            raise refused(self.path, str(error)) from error

    def _coming(self, prefix: bytes) -> bool:
        return self._lines.coming is not None and self._lines.coming.startswith(prefix)


def parse_diff_line(line: bytes) -> bytes:
    """The one path that a `diff --git` line names twice. Raises `Denied`."""
    if not line.startswith(b"diff --git "):
        raise refused(None, "it has text that belongs to no file")
    names = line.removeprefix(b"diff --git ")
    # Both names are equally long because they differ in one letter, so the line is cut in half.
    middle = len(names) // 2
    old, new = unquote(names[:middle]), unquote(names[middle + 1 :])
    if old is None or new is None or names[middle : middle + 1] != b" ":
        raise refused(None, "a file has two names, or a name that git does not write so")
    if not old.startswith(b"a/") or not new.startswith(b"b/") or old[2:] != new[2:]:
        raise refused(None, "a file has two names, or a name that git does not write so")
    return old[2:]
