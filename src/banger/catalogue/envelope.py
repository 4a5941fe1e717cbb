"""Signed documents: envelopes of DSSE 1.0 (Dead Simple Signing Envelope), which other tools make and read too. Pure.

The signature is over the very bytes that are parsed afterwards and over what kind of document they are, so that there
is nothing to normalise, and one kind cannot be passed off as another.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Annotated, Final

import msgspec

from banger.catalogue.document import SIZE_LIMIT_BYTES, decode
from banger.catalogue.keys import PublicKey
from banger.core.errors import Invalid

CATALOGUE_TYPE: Final = "application/vnd.banger.catalogue+json"
ROTATION_TYPE: Final = "application/vnd.banger.key-rotation+json"
ENVELOPE_LIMIT_BYTES: Final = 2 * SIZE_LIMIT_BYTES
_SIGNATURES_LIMIT: Final = 16
_ROTATIONS_LIMIT: Final = 64
_ENCODED_LIMIT: Final = SIZE_LIMIT_BYTES // 3 * 4 + 4
_HINT: Final = "it has to be made with `python -m banger.catalogue sign`; nothing of it is used"


class Signature(msgspec.Struct, frozen=True):
    """`keyid` is whatever its maker calls the key; nobody relies on it."""

    sig: Annotated[str, msgspec.Meta(max_length=200)]
    keyid: Annotated[str, msgspec.Meta(max_length=200)] = ""


class Envelope(msgspec.Struct, frozen=True, rename={"payload_type": "payloadType"}):
    """A document, what kind it is of, and who signed it. As DSSE says, members that we do not know are ignored."""

    payload: Annotated[str, msgspec.Meta(max_length=_ENCODED_LIMIT)]
    payload_type: Annotated[str, msgspec.Meta(max_length=200)]
    signatures: Annotated[tuple[Signature, ...], msgspec.Meta(max_length=_SIGNATURES_LIMIT)]

    def find_signer(self, payload: bytes, keys: Sequence[PublicKey]) -> PublicKey | None:
        """One of `keys` that has signed this; None when none has."""
        message = authenticate(self.payload_type, payload)
        for signature in self.signatures:
            try:
                raw = decode_base64(signature.sig)
            except ValueError:
                continue
            for key in keys:
                if key.verifies(raw, message):
                    return key
        return None

    def open(self, *, kind: str, what: str) -> bytes:
        """The document inside, not verified yet. Raises `Invalid` when it is of another kind."""
        if self.payload_type != kind:
            raise Invalid(f"{what} is not a document of the kind {kind}", hint=_HINT)
        try:
            return decode_base64(self.payload)
        except ValueError as error:
            raise Invalid(f"{what} is malformed: its payload is not base64", hint=_HINT) from error


class SignedCatalogue(Envelope, frozen=True):
    """A catalogue, with every statement about who signs it, oldest first."""

    rotations: Annotated[tuple[Envelope, ...], msgspec.Meta(max_length=_ROTATIONS_LIMIT)] = ()


def parse_envelope(text: bytes, *, place: str) -> SignedCatalogue:
    """Read an envelope. Raises `Invalid`."""
    if len(text) > ENVELOPE_LIMIT_BYTES:
        raise Invalid(f"{place} is larger than a catalogue may be", hint=_HINT)
    return decode(text, SignedCatalogue, what=place)


def authenticate(payload_type: str, payload: bytes) -> bytes:
    """What is signed: the pre-authentication encoding of DSSE."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def decode_base64(text: str) -> bytes:
    """Standard base64 and nothing else. Raises `ValueError`."""
    return binascii.a2b_base64(text.encode("ascii"), strict_mode=True)


def encode_base64(data: bytes) -> str:
    """Standard base64 in one line."""
    return base64.b64encode(data).decode()
