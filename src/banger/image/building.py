"""The output of mmdebstrap as progress. Pure."""

from __future__ import annotations

import re
from collections import deque
from typing import Final

from banger.core.progress import Progress
from banger.core.untrusted import printable

_STAGES: Final = {
    "running apt-get update": "reading Debian's package lists",
    "downloading packages with apt": "downloading the base system",
    "extracting archives": "unpacking the base system",
    "installing essential packages": "setting up the base system",
    "installing remaining packages inside the chroot": "installing the other packages",
    "cleaning package lists and apt cache": "removing what the installation left over",
    "creating tarball": "collecting the files",
}
_INFORMATION: Final = re.compile(r"I: (.+?)\.*")
_PLANNED: Final = re.compile(r"\d+ upgraded, (\d+) newly installed.*")
_FETCHED: Final = re.compile(r"Get:\d+ \S+ \S+ \S+ (\S+) .*")
_SET_UP: Final = re.compile(r"Setting up ([^\s:]+)(?::\S+)? .*")
_ERROR: Final = re.compile(r"(?:E|dpkg: error|Err:\d+)[: ].*")
_LINES: Final = 30


class BuildLog:
    """Follows the lines; keeps the last ones, and those that look like the reason of a failure."""

    def __init__(self) -> None:
        self._last: deque[str] = deque(maxlen=_LINES)
        self._error = ""
        self._text = "building the image"
        self._planned: int | None = None
        self._done = 0

    def feed(self, raw: bytes) -> Progress | None:
        """Take one line. Returns the progress that it shows, if any."""
        line = printable(raw.strip(), limit=300)
        if not line:
            return None
        self._last.append(line)
        if _ERROR.fullmatch(line) and not self._error:
            self._error = line
        if match := _INFORMATION.fullmatch(line):
            return self._begin(match[1])
        if match := _PLANNED.fullmatch(line):
            self._planned, self._done = int(match[1]), 0
        elif (match := _FETCHED.fullmatch(line)) and self._planned:
            return self._progress(f"downloading {match[1]}")
        elif match := _SET_UP.fullmatch(line):
            self._done += 1
            return self._progress(f"setting up {match[1]}")
        return None

    @property
    def reason(self) -> str:
        """Why it failed, as far as its output says."""
        return self._error or (self._last[-1] if self._last else "it said nothing")

    @property
    def last_lines(self) -> str:
        return "\n".join(self._last)

    def _begin(self, stage: str) -> Progress | None:
        if stage not in _STAGES:
            return None
        self._text, self._planned, self._done = _STAGES[stage], None, 0
        return self._progress()

    def _progress(self, text: str = "") -> Progress:
        if not text or self._planned is None:
            return Progress(stage="image", text=text or self._text)
        return Progress(
            stage="image", text=text, done=min(self._done, self._planned), total=self._planned, unit="packages"
        )
