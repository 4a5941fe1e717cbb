"""Whether to trust a catalogue: signatures, changes of keys, expiry, and no way back to an older one. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Annotated, Final, Literal

import msgspec

from banger.catalogue.document import Catalogue, decode, parse_catalogue
from banger.catalogue.envelope import CATALOGUE_TYPE, ROTATION_TYPE, SignedCatalogue, parse_envelope
from banger.catalogue.keys import PublicKey, name_keys, parse_keys
from banger.core.errors import Denied, Invalid

_FUTURE: Final = timedelta(days=1)  # how far clocks may be apart
_KEYS_LIMIT: Final = 8


class Rotation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """From now on these keys sign the catalogue and those before no longer do. Signed by one of those before."""

    schema: Literal[1]
    catalogue: Annotated[str, msgspec.Meta(max_length=63)]
    number: Annotated[int, msgspec.Meta(ge=1, le=2**53 - 1)]
    keys: Annotated[tuple[str, ...], msgspec.Meta(min_length=1, max_length=_KEYS_LIMIT)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What is remembered of a catalogue from one time to the next.

    `digest` is of the payload of `version`. `keys` are those of the rotation with the number `rotation`, which counts
    as long as the configured keys are `roots`.
    """

    name: str = ""
    version: int = 0
    digest: str = ""
    roots: str = ""
    rotation: int = 0
    keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A trusted catalogue, the key that signed it, and what to remember of it."""

    catalogue: Catalogue
    signer: PublicKey
    memory: Memory


def judge(text: bytes, *, place: str, keys: Sequence[PublicKey], memory: Memory, now: datetime) -> Verdict:
    """Return the verdict on a signed catalogue, or raise `Denied` or `Invalid` with the reason.

    `place` is what it is called in errors, `keys` are those that the user trusts for it, `memory` is what was seen of
    it before, if anything.
    """
    envelope = parse_envelope(text, place=place)
    memory = _begin(memory, keys)
    trusted = parse_keys(memory.keys) if memory.rotation else tuple(keys)
    trusted, memory, renamed = _follow(envelope, trusted, memory, place=place)
    payload = envelope.open(kind=CATALOGUE_TYPE, what=place)
    signer = envelope.find_signer(payload, trusted)
    if signer is None:
        raise Denied(
            f"{place} is signed by none of the keys that are trusted for it ({name_keys(trusted)})"
            if envelope.signatures
            else f"{place} is not signed",
            hint="ask its maintainer which key signs it now, and compare that with `key` in the configuration file",
        )
    catalogue = parse_catalogue(payload, place=place)
    _check_name(catalogue, {memory.name, *renamed} - {""}, place=place)
    _check_time(catalogue, place=place, now=now)
    digest = f"sha256:{hashlib.sha256(payload).hexdigest()}"
    _check_version(catalogue, digest, memory, place=place)
    return Verdict(
        catalogue=catalogue,
        signer=signer,
        memory=replace(memory, name=catalogue.name, version=catalogue.version, digest=digest),
    )


def _begin(memory: Memory, keys: Sequence[PublicKey]) -> Memory:
    """Drop changes of keys that began with other keys than those configured now."""
    roots = hashlib.sha256(b"".join(sorted(key.raw for key in keys))).hexdigest()
    return memory if memory.roots == roots else replace(memory, roots=roots, rotation=0, keys=())


def _follow(
    envelope: SignedCatalogue, trusted: tuple[PublicKey, ...], memory: Memory, *, place: str
) -> tuple[tuple[PublicKey, ...], Memory, set[str]]:
    """The keys after all new changes. A change that none of the current keys has signed is ignored."""
    names: set[str] = set()
    for statement in envelope.rotations:
        what = f"a change of keys in {place}"
        payload = statement.open(kind=ROTATION_TYPE, what=what)
        if statement.find_signer(payload, trusted) is None:
            continue
        rotation = decode(payload, Rotation, what=what)
        if rotation.number <= memory.rotation:
            continue
        trusted = parse_keys(rotation.keys)
        names.add(rotation.catalogue)
        memory = replace(memory, rotation=rotation.number, keys=tuple(map(str, trusted)))
    return trusted, memory, names


def _check_name(catalogue: Catalogue, expected: set[str], *, place: str) -> None:
    if expected - {catalogue.name}:
        other = min(expected - {catalogue.name})
        raise Denied(
            f"{place} is the catalogue {catalogue.name}, and not {ascii(other)[1:-1]} as before",
            hint="if its maintainer has renamed it, give it a new address in the configuration file",
        )


def _check_time(catalogue: Catalogue, *, place: str, now: datetime) -> None:
    if catalogue.expires <= catalogue.issued:
        raise Invalid(f"{place} expires before it was issued", hint="tell its maintainer; nothing of it is used")
    if catalogue.issued > now + _FUTURE:
        raise Denied(
            f"{place} was issued on {_day(catalogue.issued)}, which is in the future",
            hint="see whether this computer's clock is right",
        )
    if catalogue.expires <= now:
        raise Denied(
            f"{place} expired on {_day(catalogue.expires)}",
            hint="ask its maintainer for a new one, and see whether the clock of this computer is right",
        )


def _check_version(catalogue: Catalogue, digest: str, memory: Memory, *, place: str) -> None:
    if catalogue.version < memory.version:
        raise Denied(
            f"{place} is version {catalogue.version}, and version {memory.version} was seen before",
            hint="somebody may be holding back the new one; a maintainer who starts over has to count on from it",
        )
    if catalogue.version == memory.version and digest != memory.digest:
        raise Denied(
            f"{place} is another version {catalogue.version} than the one seen before: {digest}, not {memory.digest}",
            hint="a catalogue that changes needs a new version; tell its maintainer",
        )


def _day(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d}"
