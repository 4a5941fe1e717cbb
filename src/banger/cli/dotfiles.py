"""A few lines of ours in a file of the user's, between two marks. Nothing outside of them is touched."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from banger.core.errors import Denied, Failed, Invalid
from banger.core.files import write_durably
from banger.core.untrusted import printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_LIMIT_BYTES: Final = 4 << 20
_PRIVATE: Final = 0o600


class Block(NamedTuple):
    """Our lines. `first`: before everything else in the file, for what later lines would hide; else after it."""

    subject: str
    lines: Sequence[str]
    first: bool

    @property
    def begin(self) -> str:
        return f"# >>> banger {self.subject} >>>"

    @property
    def end(self) -> str:
        return f"# <<< banger {self.subject} <<<"


def find_directory(environment: Mapping[str, str], variable: str, default: str) -> Path:
    """A directory of the user's by its XDG variable, else by its place in the home. Raises as `find_home`."""
    value = environment.get(variable, "")
    return Path(value) if value.startswith("/") else find_home(environment) / default


def find_home(environment: Mapping[str, str]) -> Path:
    """The user's home. Raises `Invalid` when nothing says where it is."""
    home = environment.get("HOME", "")
    if not home.startswith("/"):
        raise Invalid("HOME does not say where your home is", hint="set HOME")
    return Path(home)


def with_block(content: bytes, block: Block) -> bytes:
    """The content with the block in it, once. An older one is replaced where it stands. Raises `Invalid`."""
    newline = b"\r\n" if content.partition(b"\n")[0].endswith(b"\r") else b"\n"
    ours = b"".join(line.encode() + newline for line in (block.begin, *block.lines, block.end))
    parts = _around(content, block)
    if len(parts) > 1:
        return parts[0] + ours + b"".join(parts[1:])
    if block.first:
        return ours + content
    return content + (newline if content and not content.endswith(b"\n") else b"") + ours


def without_block(content: bytes, block: Block) -> bytes:
    """The content without it. Raises `Invalid`."""
    return b"".join(_around(content, block))


def _around(content: bytes, block: Block) -> list[bytes]:
    """What is before, between and after blocks of this subject; one part when there is none."""
    parts: list[list[bytes]] = [[]]
    inside = False
    for line in _lines(content):
        mark = line.strip()
        if mark == block.begin.encode() and not inside:
            inside = True
        elif mark == block.end.encode() and inside:
            inside = False
            parts.append([])
        elif not inside:
            parts[-1].append(line)
    if inside:
        raise Invalid(
            f"there is a line `{block.begin}` and no line `{block.end}` after it",
            hint="remove what banger once put there, then try again",
        )
    return [b"".join(part) for part in parts]


def _lines(content: bytes) -> list[bytes]:
    """Lines end with a line feed only, whatever else stands in them."""
    pieces = content.split(b"\n")
    return [piece + b"\n" for piece in pieces[:-1]] + ([pieces[-1]] if pieces[-1] else [])


def put_block(path: Path, block: Block) -> bool:
    """Have the block in the file, which is made if there is none; whether that changed anything.

    Raises `Denied` for a file that is not ours to change, `Invalid` for one that we do not understand.
    """
    return _edit(path, block, keep=True)


def remove_block(path: Path, block: Block) -> bool:
    """Have no such block in the file; one that is empty then goes. Whether that changed anything. Raises as above."""
    return _edit(path, block, keep=False)


def _edit(path: Path, block: Block, *, keep: bool) -> bool:
    target = Path(os.path.realpath(path))  # a link, such as one into a repository of such files, stays a link
    shown = printable(str(path), limit=200)
    content, mode = _read(target, shown, block)
    if content is None and not keep:
        return False
    try:
        wanted = with_block(content or b"", block) if keep else without_block(content or b"", block)
    except Invalid as error:
        raise Invalid(f"{shown}: {error.summary}", hint=error.hint) from error
    if wanted == content:
        return False
    if mode & 0o200 == 0:
        raise Denied(f"{shown} is read-only", hint=_by_hand(block))
    try:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if wanted or path.is_symlink():
            write_durably(target, wanted, mode=mode)
        else:
            target.unlink()
    except PermissionError as error:
        raise Denied(f"{shown} cannot be changed: {error.strerror}", hint=_by_hand(block)) from error
    except OSError as error:
        raise Failed(f"{shown} cannot be changed: {error.strerror}", hint=_by_hand(block)) from error
    return True


def _read(target: Path, shown: str, block: Block) -> tuple[bytes | None, int]:
    """What is in a file, or None if there is none, and its permissions."""
    try:
        status = target.stat()
    except FileNotFoundError:
        return None, _PRIVATE
    except OSError as error:
        raise Denied(f"{shown} cannot be read: {error.strerror}", hint=_by_hand(block)) from error
    if not stat.S_ISREG(status.st_mode) or status.st_size > _LIMIT_BYTES:
        raise Invalid(f"{shown} is not a file of a size that such files have", hint=_by_hand(block))
    if status.st_uid != os.geteuid():
        raise Denied(f"{shown} belongs to somebody else", hint="run this as the user whose file it is")
    try:
        return target.read_bytes(), stat.S_IMODE(status.st_mode)
    except OSError as error:
        raise Denied(f"{shown} cannot be read: {error.strerror}", hint=_by_hand(block)) from error


def _by_hand(block: Block) -> str:
    where = "at its beginning" if block.first else "at its end"
    return f"put there yourself, {where}: " + "; ".join(block.lines)
