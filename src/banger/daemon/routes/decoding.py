"""Requests as typed values."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from banger.core.errors import Invalid
from banger.core.untrusted import printable

Message = TypeVar("Message")
PathParameters = dict[str, str]


def decode(body: bytes, message_type: type[Message]) -> Message:
    """Read a request strictly. Raises `Invalid`."""
    try:
        return msgspec.json.decode(body, type=message_type)
    except msgspec.MsgspecError as error:
        raise Invalid(
            f"the request is not understood: {printable(str(error), limit=200)}",
            hint="run `banger daemon restart` if banger was just updated",
        ) from error
