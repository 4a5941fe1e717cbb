"""Requests as typed values."""

from __future__ import annotations

import json
from typing import Any, Final, NoReturn, TypeVar

import msgspec

from banger.core.errors import Invalid
from banger.core.untrusted import printable

Message = TypeVar("Message")
PathParameters = dict[str, str]
_ANY_BYTES: Final = ("command", "environment")


def decode(body: bytes, message_type: type[Message]) -> Message:
    """Read a request strictly. Raises `Invalid`."""
    try:
        if b"\\udc" in body.lower():
            return msgspec.convert(_decode_any_bytes(body), type=message_type)
        return msgspec.json.decode(body, type=message_type)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise Invalid(
            f"the request is not understood: {printable(str(error), limit=200)}",
            hint="run `banger daemon restart` if banger was just updated",
        ) from error


def _decode_any_bytes(body: bytes) -> Any:  # noqa: ANN401 - JSON
    """Decode where a byte that is no UTF-8 stands as a lone surrogate (PEP 383), which msgspec refuses everywhere.

    A command for a guest may have such bytes, and nothing else may. Raises `ValueError`.
    """
    document = json.loads(body, parse_constant=_refuse_constant)
    if isinstance(document, dict):
        rest = {name: value for name, value in document.items() if name not in _ANY_BYTES}
        json.dumps(rest, ensure_ascii=False).encode()
    return document


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number of JSON")
