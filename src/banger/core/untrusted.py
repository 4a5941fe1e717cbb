"""Making text from guests, images, registries and file names printable before anybody sees it."""

from __future__ import annotations

import unicodedata
from typing import Final

# Controls, what stands for no character, and formatting that nobody sees: it reorders text, or hides words from people
# that programs read, as tags do (U+E0000 on). Two joiners stay: whole scripts are written with them.
_HIDDEN: Final = frozenset(("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"))
_JOINERS: Final = "\u200c\u200d"


def printable(text: str | bytes, *, limit: int = 4096) -> str:
    """Escape everything that could move a cursor, change a colour, reorder text or hide it; cut at `limit` characters.

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
    if unicodedata.category(character) in _HIDDEN and character not in _JOINERS:
        return character.encode("unicode_escape").decode("ascii")
    return character
