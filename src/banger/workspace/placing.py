"""Placing changed files in a work tree: all of them or, whatever goes wrong, none.

Before the first file is touched, its old content and the new one are on disk in a directory of ours, with a list of
what is going to happen. That is enough to take everything back, also for a later process. Files are reached name by
name from the top of the tree, so that no symbolic link on the way is followed, and are replaced by renaming. All of it
blocks.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from banger.core.errors import Failed
from banger.core.files import sync_directory, write_durably
from banger.workspace.patch_lines import show_path
from banger.workspace.reaching import READ, exists, holds, missing_above, modes_above, opened_parent, remove_empty_above
from banger.workspace.work_tree import Stamp, WorkTree

NEW: Final = "new"
MANY_FILES: Final = 200
_OLD: Final = "old"
_PLAN: Final = "plan.json"
_LINK: Final = "120000"
_EXECUTABLE: Final = "100755"
_WRITE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class PlacedFile:
    """The change of one path: `mode` is git's as octal text, empty for a file to remove.

    `stamp` tells the file that is there now, None when there is none.
    """

    path: bytes
    mode: str
    stamp: Stamp | None


@dataclass(frozen=True, slots=True)
class _Old:
    """A file as it was: its permissions and time, and its target for a symbolic link."""

    mode: int
    mtime_ns: int
    target: bytes | None


class Placing:
    """One change of a tree at `top`. `directory` is ours and durable; it has the new content in `new`."""

    def __init__(self, directory: Path, top: Path, files: Sequence[PlacedFile], *, umask: int) -> None:
        self._directory = directory
        self._top = os.fsencode(top)
        self._files = list(files)
        self._umask = umask
        self._old: list[_Old | None] = []
        self._made: list[bytes] = []  # directories that are not there yet, each after the one above it
        self._left: dict[bytes, int] = {}  # directories that may go with their last file, as those, with their modes

    @classmethod
    def read(cls, directory: Path) -> Placing | None:
        """The change that an earlier process had recorded; None if it had not begun to change anything."""
        try:
            plan = json.loads((directory / _PLAN).read_bytes())
        except FileNotFoundError:
            return None
        files = [PlacedFile(os.fsencode(file["path"]), file["mode"], None) for file in plan["files"]]
        placing = cls(directory, Path(plan["top"]), files, umask=plan["umask"])
        placing._old = [_read_old(file["old"]) for file in plan["files"]]
        placing._made = [os.fsencode(path) for path in plan["made"]]
        placing._left = {os.fsencode(path): mode for path, mode in plan["left"].items()}
        return placing

    def record(self) -> None:
        """Save the old files, and write down what is going to happen. Raises `Failed` when a file has changed."""
        (self._directory / _OLD).mkdir()
        missing: dict[bytes, None] = {}
        with self._opened_top() as top:
            for index, file in enumerate(self._files):
                self._old.append(self._keep(top, index, file))
                if file.mode:
                    missing.update(dict.fromkeys(missing_above(top, file.path)))
                else:
                    self._left.update(modes_above(top, file.path))
        self._made = list(missing)
        for below in (NEW, _OLD):
            _sync_tree(self._directory / below, len(self._files))
        plan = {
            "top": os.fsdecode(self._top),
            "umask": self._umask,
            "made": [os.fsdecode(path) for path in self._made],
            "left": {os.fsdecode(path): mode for path, mode in self._left.items()},
            "files": [
                {"path": os.fsdecode(file.path), "mode": file.mode, "old": _write_old(old)}
                for file, old in zip(self._files, self._old, strict=True)
            ],
        }
        write_durably(self._directory / _PLAN, json.dumps(plan).encode())

    def write(self) -> None:
        """Change the tree. Raises `Failed` when somebody else changes it meanwhile. After any error, `restore`."""
        with self._opened_top() as top:
            going = [file for file in self._files if not file.mode]
            for file in sorted(going, key=lambda file: file.path, reverse=True):
                self._check_unchanged(file)
                with opened_parent(top, file.path) as (parent, name):
                    os.unlink(name, dir_fd=parent)
                remove_empty_above(top, file.path)
            for index, file in enumerate(self._files):
                if not file.mode:
                    continue
                self._check_unchanged(file)
                with opened_parent(top, file.path, make_mode=0o777 & ~self._umask) as (parent, name):
                    self._place(parent, name, index, file)

    def restore(self) -> list[bytes]:
        """Undo what `write` did. Returns the paths that somebody else has changed since, which are left as they are.

        When `record` has failed, nothing was written, and there is nothing to take back.
        """
        left: list[bytes] = []
        if len(self._old) < len(self._files):
            return left
        with self._opened_top() as top:
            for index, (file, old) in enumerate(zip(self._files, self._old, strict=True)):
                with suppress(OSError), opened_parent(top, file.path) as (parent, name):
                    with suppress(FileNotFoundError):
                        os.unlink(self._partial(index), dir_fd=parent)
                    if old is None and self._is_new(parent, name, file):
                        os.unlink(name, dir_fd=parent)
            for path in reversed(self._made):
                with suppress(OSError), opened_parent(top, path) as (parent, name):
                    os.rmdir(name, dir_fd=parent)
            for path, mode in self._left.items():
                with suppress(OSError), opened_parent(top, path + b"/x", make_mode=mode):
                    pass
            for index, (file, old) in enumerate(zip(self._files, self._old, strict=True)):
                if old is not None and not self._bring_back(top, index, file, old):
                    left.append(file.path)
        return left

    def _keep(self, top: int, index: int, file: PlacedFile) -> _Old | None:
        self._check_unchanged(file)
        if file.stamp is None:
            return None
        with opened_parent(top, file.path) as (parent, name):
            status = os.stat(name, dir_fd=parent, follow_symlinks=False)
            if stat.S_ISLNK(status.st_mode):
                old = _Old(0o777, status.st_mtime_ns, os.readlink(name, dir_fd=parent))
            else:
                old = _Old(stat.S_IMODE(status.st_mode) & 0o777, status.st_mtime_ns, None)
                with (
                    os.fdopen(os.open(name, READ, dir_fd=parent), "rb") as source,
                    (self._directory / _OLD / str(index)).open("xb") as target,
                ):
                    shutil.copyfileobj(source, target)
        self._check_unchanged(file)
        return old

    def _check_unchanged(self, file: PlacedFile) -> None:
        with WorkTree(self._top_path) as tree:
            seen = tree.look(file.path)
        if (seen.stamp if seen is not None else None) != file.stamp:
            raise _changed(file.path)

    def _place(self, parent: int, name: bytes, index: int, file: PlacedFile) -> None:
        partial = self._partial(index)
        old = self._old[index]
        if file.mode == _LINK:
            os.symlink(self._new(file).read_bytes(), partial, dir_fd=parent)
        else:
            with (
                self._new(file).open("rb") as source,
                os.fdopen(os.open(partial, _WRITE, 0o600, dir_fd=parent), "wb") as target,
            ):
                shutil.copyfileobj(source, target)
                os.fchmod(target.fileno(), _plan_permissions(file.mode, old, umask=self._umask))
        if file.stamp is None and exists(parent, name):
            raise _changed(file.path)
        os.rename(partial, name, src_dir_fd=parent, dst_dir_fd=parent)

    def _bring_back(self, top: int, index: int, file: PlacedFile, old: _Old) -> bool:
        """Whether the file is as it was."""
        try:
            with opened_parent(top, file.path, make_mode=0o777 & ~self._umask) as (parent, name):
                if self._is_old(parent, name, index, old):
                    return True
                if exists(parent, name) and not (file.mode and self._is_new(parent, name, file)):
                    return False
                partial = self._partial(index)
                if old.target is not None:
                    os.symlink(old.target, partial, dir_fd=parent)
                else:
                    with (
                        (self._directory / _OLD / str(index)).open("rb") as source,
                        os.fdopen(os.open(partial, _WRITE, 0o600, dir_fd=parent), "wb") as target,
                    ):
                        shutil.copyfileobj(source, target)
                        os.fchmod(target.fileno(), old.mode)
                os.utime(partial, ns=(old.mtime_ns, old.mtime_ns), dir_fd=parent, follow_symlinks=False)
                os.rename(partial, name, src_dir_fd=parent, dst_dir_fd=parent)
        except (NotADirectoryError, FileExistsError):
            return False  # somebody else put something in the way
        return True

    def _is_new(self, parent: int, name: bytes, file: PlacedFile) -> bool:
        if not file.mode:
            return False
        new = self._new(file)
        return holds(parent, name, new, target=new.read_bytes() if file.mode == _LINK else None)

    def _is_old(self, parent: int, name: bytes, index: int, old: _Old) -> bool:
        if not holds(parent, name, self._directory / _OLD / str(index), target=old.target):
            return False
        mode = os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode
        return old.target is not None or stat.S_IMODE(mode) & 0o777 == old.mode

    def _new(self, file: PlacedFile) -> Path:
        return self._directory / NEW / os.fsdecode(file.path)

    def _partial(self, index: int) -> bytes:
        return b".banger-%b-%d" % (os.fsencode(self._directory.name)[-40:], index)

    @property
    def _top_path(self) -> Path:
        return Path(os.fsdecode(self._top))

    @contextmanager
    def _opened_top(self) -> Iterator[int]:
        descriptor = os.open(self._top, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            yield descriptor
        finally:
            os.close(descriptor)


def _plan_permissions(mode: str, old: _Old | None, *, umask: int) -> int:
    """Those of the file that is replaced, but for who may run it, or those of any new file."""
    if old is None or old.target is not None:
        return (0o777 if mode == _EXECUTABLE else 0o666) & ~umask
    if mode != _EXECUTABLE:
        return old.mode & ~0o111
    return old.mode | (old.mode & 0o444) >> 2 if not old.mode & 0o111 else old.mode


def _sync_tree(directory: Path, count: int) -> None:
    """Make about `count` files below a directory durable; very many with all else that is to be written (sync(2))."""
    if count > MANY_FILES:
        os.sync()
        return
    for place, _, names in os.walk(os.fsencode(directory)):
        for name in names:
            descriptor = os.open(os.path.join(place, name), READ)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        sync_directory(Path(os.fsdecode(place)))


def _write_old(old: _Old | None) -> dict[str, Any] | None:
    if old is None:
        return None
    target = None if old.target is None else os.fsdecode(old.target)
    return {"mode": old.mode, "mtime_ns": old.mtime_ns, "target": target}


def _read_old(view: dict[str, Any] | None) -> _Old | None:
    if view is None:
        return None
    target = view["target"]
    return _Old(view["mode"], view["mtime_ns"], None if target is None else os.fsencode(target))


def _changed(path: bytes) -> Failed:
    return Failed(f"{show_path(path)} changed while the patch was applied", hint="nothing was changed; try again")
