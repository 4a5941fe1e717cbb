"""A guest's console as text without control sequences, even if it arrives in pieces."""

from __future__ import annotations

import codecs
import re
from typing import Final

from banger.core.untrusted import printable, printable_lines

LINE_LIMIT: Final = 16384
RETURNS_LIMIT: Final = 64  # carriage returns in a row that are shown, or held until what follows them has come
# Colours, and the cursor movements that an init uses to draw its status (ECMA-48, section 5.4); titles (xterm's OSC).
# With limits, so that what may still become one is never held back for long.
_SEQUENCES: Final = re.compile(
    r"\x1b\[[0-?]{0,64}[ -/]{0,8}[@-~]|\x1b\][^\x07\x1b]{0,1024}(?:\x07|\x1b\\)|\x1b[()][0-9A-Z]"
)
_MANY_RETURNS: Final = re.compile(rf"\r{{{RETURNS_LIMIT + 1},}}")
_BEGINNING: Final = re.compile(r"\x1b(?:\[[0-?]{0,64}[ -/]{0,8}|\][^\x07\x1b]{0,1024}\x1b?|[()])?\Z")


class ConsoleText:
    """Feed bytes, get text: line ends of this computer, no colours, and controls written out.

    However the bytes are cut into pieces, the text is the same.
    """

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")
        self._sequence = ""
        self._returns = ""

    def feed(self, data: bytes, *, end: bool = False) -> str:
        """The text that is certain now; with `end` all that is left."""
        text = self._sequence + self._decoder.decode(data, end)
        beginning = None if end else _BEGINNING.search(text)
        self._sequence = text[beginning.start() :] if beginning else ""
        text = self._returns + _SEQUENCES.sub("", text[: beginning.start()] if beginning else text)
        text = _MANY_RETURNS.sub("\r" * RETURNS_LIMIT, text)
        kept = text if end else text.rstrip("\r")
        self._returns = text[len(kept) :]
        kept = re.sub(r"\r+\n", "\n", kept)
        return printable_lines(kept, limit=len(kept))


class NamedLines:
    """The same as whole lines, each after a name: for consoles that are printed side by side.

    A line without end is given out in pieces of `LINE_LIMIT` characters.
    """

    def __init__(self, name: str) -> None:
        self._before = f"{printable(name)} | "
        self._text = ConsoleText()
        self._line = ""

    def feed(self, data: bytes, *, end: bool = False) -> str:
        """The lines that are complete now; with `end` all that is left."""
        *lines, self._line = (self._line + self._text.feed(data, end=end)).split("\n")
        while len(self._line) > LINE_LIMIT or (end and self._line):
            lines.append(self._line[:LINE_LIMIT])
            self._line = self._line[LINE_LIMIT:]
        return "".join(f"{self._before}{line}\n" for line in lines)


def clean_console(console: bytes) -> str:
    """The text of a whole console."""
    return ConsoleText().feed(console, end=True)
