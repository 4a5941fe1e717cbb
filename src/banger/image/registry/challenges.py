"""Parsing the WWW-Authenticate header of a 401 (RFC 9110, section 11.6.1). Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

_LIMIT: Final = 16384
_CHALLENGES_LIMIT: Final = 16
_WORD: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_PARAMETER: Final = re.compile(rf'({_WORD})[ \t]*=[ \t]*(?:"((?:[^"\\\x00-\x1f\x7f]|\\[^\x00-\x1f\x7f])*)"|({_WORD}))')
_SCHEME: Final = re.compile(rf"({_WORD})(?:[ \t]+|$|(?=[ \t]*,))")
_TOKEN68: Final = re.compile(r"[A-Za-z0-9._~+/-]+=*[ \t]*(?=,|$)")
_SEPARATOR: Final = re.compile(r"[ \t]*(?:,[ \t]*)+")


@dataclass(frozen=True, slots=True)
class Challenge:
    """A way to authenticate. Scheme and parameter names are in lower case."""

    scheme: str
    parameters: Mapping[str, str]


def parse_challenges(headers: Sequence[str]) -> tuple[Challenge, ...]:
    """Every challenge of all WWW-Authenticate headers. Raises `ValueError` for what the grammar does not allow."""
    if sum(map(len, headers)) > _LIMIT:
        raise ValueError("it is too long")
    found = [challenge for header in headers for challenge in _parse_header(header)]
    if len(found) > _CHALLENGES_LIMIT:
        raise ValueError("there are too many")
    return tuple(found)


def _parse_header(header: str) -> list[Challenge]:
    found: list[Challenge] = []
    parameters: dict[str, str] = {}
    position = _skip(_SEPARATOR, header, 0)
    after_separator = True
    while position < len(header):
        if not after_separator:
            raise ValueError("there is no comma where one must be")
        if (match := _PARAMETER.match(header, position)) is not None and found:
            name = match[1].lower()
            if name in parameters:
                raise ValueError(f"{ascii(name)} is there twice")
            parameters[name] = re.sub(r"\\(.)", r"\1", match[2]) if match[3] is None else match[3]
            position = match.end()
        elif (match := _SCHEME.match(header, position)) is not None:
            parameters = {}
            found.append(Challenge(match[1].lower(), parameters))
            position = match.end()
            if _PARAMETER.match(header, position) is not None:
                continue  # the first parameter follows without a comma
            position = _skip(_TOKEN68, header, position)
        else:
            raise ValueError(f"it goes wrong at character {position + 1}")
        before, position = position, _skip(_SEPARATOR, header, position)
        after_separator = position > before or not header[position:].strip(" \t")
        position = len(header) if not header[position:].strip(" \t") else position
    return found


def _skip(pattern: re.Pattern[str], text: str, position: int) -> int:
    match = pattern.match(text, position)
    return match.end() if match is not None else position
