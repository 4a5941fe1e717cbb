"""Untrusted JSON documents, refused where two programs could read them differently. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Final, NoReturn, TypeVar

import msgspec

from banger.core.errors import Failed
from banger.core.untrusted import printable

Document = TypeVar("Document")

_INTEGER_DIGITS: Final = 19  # as many as the largest signed 64-bit number has


def read_document(content: bytes, *, what: str) -> dict[str, Any]:
    """The JSON object that `content` is. `what` is its name in errors.

    Raises `Failed` if it is not an object in UTF-8, names a member twice, is nested too deep, or has a number that is
    not finite or has more digits than a 64-bit one.
    """
    try:
        value = json.loads(
            content.decode("utf-8"),
            object_pairs_hook=_object,
            parse_int=_integer,
            parse_float=_fraction,
            parse_constant=_constant,
        )
    except RecursionError as error:
        raise _malformed(what, "it is nested too deep") from error
    except ValueError as error:  # also UnicodeDecodeError and JSONDecodeError
        raise _malformed(what, str(error)) from error
    if not isinstance(value, dict):
        raise _malformed(what, "it is not an object")
    return value


def convert_document(value: object, kind: type[Document], *, what: str) -> Document:
    """Check an object that was read against a msgspec structure. Raises `Failed`."""
    try:
        return msgspec.convert(value, kind, strict=True)
    except (ValueError, RecursionError) as error:  # also UnicodeEncodeError, for a surrogate that stands alone
        raise _malformed(what, str(error)) from error


def _malformed(what: str, why: str) -> Failed:
    return Failed(
        f"{what} is malformed: {printable(why, limit=200)}",
        hint="the registry sent an impossible image; ask its operator, or try another tag",
    )


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError(f"{ascii(_twice(name for name, _ in pairs))[:80]} is there twice")
    return found


def _twice(names: Iterable[str]) -> str:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    raise AssertionError


def _integer(text: str) -> int:
    if len(text.lstrip("-")) > _INTEGER_DIGITS:
        raise ValueError("a number has too many digits")
    return int(text)


def _fraction(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise ValueError("a number is too large")
    return number


def _constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a number")
