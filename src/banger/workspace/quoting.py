"""Names as git writes them into patches (git-config(1), core.quotePath): plain, or in C-style double quotes. Pure."""

from __future__ import annotations

import re
from typing import Final

_LETTERS: Final = {7: b"a", 8: b"b", 9: b"t", 10: b"n", 11: b"v", 12: b"f", 13: b"r", 0x22: b'"', 0x5C: b"\\"}
_VALUES: Final = {letter: bytes([value]) for value, letter in _LETTERS.items()}
_PLAIN: Final = re.compile(rb"[\x20\x21\x23-\x5b\x5d-\x7e]*")
_QUOTED: Final = re.compile(rb'"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\[abtnvfr"\\]|\\[0-3][0-7]{2})*)"')
_ESCAPE: Final = re.compile(rb'\\([abtnvfr"\\]|[0-3][0-7]{2})')


def quote(name: bytes) -> bytes:
    """The one way in which git with core.quotePath=true writes `name`."""
    return name if _PLAIN.fullmatch(name) else b'"' + b"".join(map(_escape, name)) + b'"'


def unquote(text: bytes) -> bytes | None:
    """The name that git writes as `text`, or None when git would not write any name so."""
    match = _QUOTED.fullmatch(text)
    name = text if match is None else _ESCAPE.sub(_unescape, match[1])
    return name if quote(name) == text else None


def _escape(byte: int) -> bytes:
    if byte in _LETTERS:
        return b"\\" + _LETTERS[byte]
    return bytes([byte]) if 0x20 <= byte < 0x7F else b"\\%03o" % byte


def _unescape(match: re.Match[bytes]) -> bytes:
    escape = match[1]
    return _VALUES[escape] if escape in _VALUES else bytes([int(escape, 8)])
