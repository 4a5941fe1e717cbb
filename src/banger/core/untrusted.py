"""Making text from guests, images, registries and file names printable before anybody sees it."""

from __future__ import annotations

import unicodedata
from typing import Final

_BIDI_CONTROLS: Final = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def printable(text: str | bytes, *, limit: int = 4096) -> str:
    """Escape everything that could move a cursor, change a colour or reorder text; cut at `limit` characters.

    Line breaks and tabs are escaped too: the result is always one line.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8", "backslashreplace")
    cut = text[:limit]
    shown = "".join(map(_printable_character, cut))
    return shown + "..." if len(text) > limit else shown


def printable_lines(text: str | bytes, *, limit: int = 65536) -> str:
    """Like `printable`, but line feeds and tabs stay."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", "backslashreplace")
    return "".join(c if c in "\n\t" else _printable_character(c) for c in text[:limit].replace("\r\n", "\n"))


def _printable_character(character: str) -> str:
    if character in _BIDI_CONTROLS or unicodedata.category(character) in ("Cc", "Cs", "Co", "Cn", "Zl", "Zp"):
        return character.encode("unicode_escape").decode("ascii")
    return character
