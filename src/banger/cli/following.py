"""The consoles of several VMs while they print, in one loop."""

from __future__ import annotations

import json
import select
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol

from banger.api import framing
from banger.api.client import error_from
from banger.api.duplex import Duplex
from banger.cli.context import vm_path
from banger.core.errors import BangerError
from banger.core.untrusted import printable

if TYPE_CHECKING:
    from banger.api.messages import LogsRequest
    from banger.cli.context import Context


class Text(Protocol):
    """What makes text of a console's bytes."""

    def feed(self, data: bytes, *, end: bool = False) -> str:
        """The text that is certain now; with `end` all that is left."""


def follow_consoles(
    context: Context, texts: Mapping[str, Text], *, tail: int | None, fail: Callable[[str, BangerError], None]
) -> None:
    """Print, each through its text, the consoles of the VMs that `texts` names until all of them have ended.

    `fail` is called for one that cannot be followed any more, and the others go on.
    """
    request: LogsRequest = {"tail": tail}
    opened: dict[int, tuple[str, Duplex]] = {}
    try:
        for ref in texts:
            exchange = Duplex(context.connect(), path=vm_path(ref, "/logs/follow"), request=request)
            opened[exchange.fileno()] = (ref, exchange)
        while opened:
            for descriptor in _wait([exchange for _, exchange in opened.values()]):
                ref, exchange = opened[descriptor]
                try:
                    over = _take(context, exchange, texts[ref])
                except BangerError as error:
                    over = True
                    fail(ref, error)
                if over:
                    context.write(texts[ref].feed(b"", end=True))
                    exchange.close()
                    del opened[descriptor]
            sys.stdout.flush()
    finally:
        for _, exchange in opened.values():
            exchange.close()


def _wait(exchanges: list[Duplex]) -> list[int]:
    """Send what is to be sent; the descriptors of those that have received something."""
    poll = select.poll()
    for exchange in exchanges:
        exchange.send()
        poll.register(exchange, select.POLLIN | (select.POLLOUT if exchange.wants_to_send else 0))
    return [descriptor for descriptor, event in poll.poll() if event & ~select.POLLOUT]


def _take(context: Context, exchange: Duplex, text: Text) -> bool:
    """Print what has come; true when that was the last. Raises the daemon's error."""
    for frame_type, payload in exchange.receive():
        if frame_type == framing.OUTPUT:
            context.write(text.feed(payload))
        elif frame_type == framing.EVENT:
            context.tell(f"banger: {printable(str(json.loads(payload).get('text', '')))}")
        elif frame_type == framing.ERROR:
            raise error_from(json.loads(payload))
        elif frame_type == framing.RESULT:
            return True
    return False
