"""The maintainer's side: keys, signatures, changes of keys. Private keys are PEM files of the user's."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from banger.catalogue.document import parse_catalogue
from banger.catalogue.envelope import (
    CATALOGUE_TYPE,
    ROTATION_TYPE,
    authenticate,
    encode_base64,
)
from banger.catalogue.keys import PublicKey, parse_keys
from banger.core.errors import AlreadyExists, Invalid


def make_key(path: Path) -> PublicKey:
    """Write a new private key to a new file that only its owner can read; its public half. Raises `AlreadyExists`."""
    key = Ed25519PrivateKey.generate()
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError as error:
        raise AlreadyExists(f"{path} is there already", hint="give the key a file of its own") from error
    with os.fdopen(descriptor, "wb") as file:
        file.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return public_key(key)


def read_key(path: Path) -> Ed25519PrivateKey:
    """A private key in PEM (PKCS #8). Raises `Invalid`."""
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (ValueError, TypeError) as error:
        raise Invalid(f"{path} is not a PEM private key without passphrase", hint="make one with `new-key`") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise Invalid(f"{path} is not an Ed25519 key", hint="make one with `new-key`")
    return key


def public_key(key: Ed25519PrivateKey) -> PublicKey:
    """The public half."""
    return PublicKey(key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))


def sign_catalogue(text: bytes, keys: Sequence[Ed25519PrivateKey], *, rotations: Sequence[bytes] = ()) -> bytes:
    """Check a catalogue and put it into an envelope, with every change of keys so far. Raises `Invalid`."""
    parse_catalogue(text, place="the catalogue")
    envelope = _seal(CATALOGUE_TYPE, text, keys)
    if rotations:
        envelope["rotations"] = [json.loads(rotation) for rotation in rotations]
    return _encode(envelope)


def sign_rotation(name: str, number: int, new_keys: Sequence[str], old_keys: Sequence[Ed25519PrivateKey]) -> bytes:
    """A statement that `new_keys` sign the catalogue `name` from now on. `number` counts such statements from 1."""
    keys = [str(key) for key in parse_keys(new_keys)]
    statement = {"schema": 1, "catalogue": name, "number": number, "keys": keys}
    return _encode(_seal(ROTATION_TYPE, json.dumps(statement).encode(), old_keys))


def _seal(kind: str, payload: bytes, keys: Sequence[Ed25519PrivateKey]) -> dict[str, Any]:
    message = authenticate(kind, payload)
    return {
        "payloadType": kind,
        "payload": encode_base64(payload),
        "signatures": [{"keyid": public_key(key).id, "sig": encode_base64(key.sign(message))} for key in keys],
    }


def _encode(document: object) -> bytes:
    return json.dumps(document, indent=1).encode() + b"\n"
