"""The host's half of the synchronisation, as bytes in and bytes out. Pure; see docs/agent-protocol.md."""

from __future__ import annotations

from banger.guest.frames import NONCE_SIZE, PADDING, SYNC_HOST, SYNC_PEER

_ANSWER_SIZE = len(SYNC_PEER) + NONCE_SIZE


class Synchroniser:
    """Throws away everything before the answer to the latest question.

    While a guest boots, several questions may be under way, and the agent begins anew with each: only the answer to the
    last one begins the session. An answer to an earlier one shows that the guest listens, so that nothing need be asked
    again; a guest that is slower than the repetition would never catch up otherwise.
    """

    def __init__(self) -> None:
        self._nonces: set[bytes] = set()
        self._latest = b""
        self._tail = b""
        self.heard = False

    def ask(self, nonce: bytes, *, padding: bool) -> bytes:
        """What to send. `padding` goes before the first question of a later connection to the same guest."""
        assert len(nonce) == NONCE_SIZE
        self._nonces.add(nonce)
        self._latest = nonce
        return (bytes(PADDING) if padding else b"") + SYNC_HOST + nonce

    def feed(self, data: bytes) -> bytes | None:
        """The bytes after the awaited answer, or None while it has not come. Holds less than one answer."""
        held = self._tail + data
        position = held.find(SYNC_PEER)
        while 0 <= position <= len(held) - _ANSWER_SIZE:
            nonce = held[position + len(SYNC_PEER) : position + _ANSWER_SIZE]
            if nonce == self._latest:
                return held[position + _ANSWER_SIZE :]
            self.heard = self.heard or nonce in self._nonces
            position = held.find(SYNC_PEER, position + 1)
        self._tail = held[-(_ANSWER_SIZE - 1) :]
        return None
