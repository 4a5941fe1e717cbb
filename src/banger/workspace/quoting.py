"""Names as git writes them into patches (git-config(1), core.quotePath): plain, or in C-style double quotes. Pure."""

from __future__ import annotations

import re
from typing import Final

_LETTERS: Final = {7: b"a", 8: b"b", 9: b"t", 10: b"n", 11: b"v", 12: b"f", 13: b"r", 0x22: b'"', 0x5C: b"\\"}
_VALUES: Final = {letter: bytes([value]) for value, letter in _LETTERS.items()}
_SPECIAL: Final = re.compile(rb'[\x00-\x1f"\\\x7f-\xff]')
_SPECIAL_ASCII: Final = re.compile(rb'[\x00-\x1f"\\\x7f]')
_QUOTED: Final = re.compile(rb'"((?:[^\x00-\x1f"\\\x7f]|\\[abtnvfr"\\]|\\[0-3][0-7]{2})*)"')
_ESCAPE: Final = re.compile(rb'\\([abtnvfr"\\]|[0-3][0-7]{2})')


def quote(name: bytes, *, quote_path: bool = True) -> bytes:
    """How git writes `name` with that value of core.quotePath, which says whether bytes from 0x80 on are escaped."""
    escaped = (_SPECIAL if quote_path else _SPECIAL_ASCII).sub(_escape, name)
    return name if escaped == name else b'"' + escaped + b'"'


def unquote(text: bytes) -> bytes | None:
    """The name that git writes as `text`, or None when git would not write any name so."""
    match = _QUOTED.fullmatch(text)
    name = text if match is None else _ESCAPE.sub(_unescape, match[1])
    return name if text in (quote(name), quote(name, quote_path=False)) else None


def _escape(match: re.Match[bytes]) -> bytes:
    byte = match[0][0]
    return b"\\" + _LETTERS[byte] if byte in _LETTERS else b"\\%03o" % byte


def _unescape(match: re.Match[bytes]) -> bytes:
    escape = match[1]
    return _VALUES[escape] if escape in _VALUES else bytes([int(escape, 8)])
