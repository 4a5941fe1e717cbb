"""Catalogues and their envelopes that somebody made to do harm, or made badly. Each is refused in one sentence."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.catalogue.catalogues import BUNDLE, ENTRY, NOW, OLD, catalogue

from banger.catalogue.document import SIZE_LIMIT_BYTES, parse_catalogue
from banger.catalogue.envelope import authenticate, encode_base64
from banger.catalogue.signing import public_key, sign_catalogue
from banger.catalogue.trust import Memory, judge
from banger.core.errors import BangerError, Invalid, Unsupported


def entry(**changes: Any) -> bytes:
    return catalogue(entries=[{**ENTRY, **changes}])


def source(**changes: Any) -> bytes:
    return entry(source={**BUNDLE, **changes})


def oci(reference: str) -> bytes:
    return entry(source={"type": "oci", "reference": reference})


DOCUMENTS = {
    "empty": b"",
    "no object": b"[]",
    "null": b"null",
    "not UTF-8": b'{"schema": 1, "name": "\xff"}',
    "two documents": catalogue() + catalogue(),
    "no schema": b"{}",
    "schema of text": catalogue(schema="1"),
    "schema of truth": catalogue(schema=True),
    "no name": catalogue(name=""),
    "a path for a name": catalogue(name="../up"),
    "a line break in the name": catalogue(name="team\n"),
    "a long name": catalogue(name="a" * 64),
    "version zero": catalogue(version=0),
    "a negative version": catalogue(version=-1),
    "a version that is no whole number": catalogue(version=1.5),
    "a version beyond every counter": catalogue(version=2**53),
    "a version of text": catalogue(version="3"),
    "an endless number": catalogue(version=0).replace(b'"version": 0', b'"version": ' + b"9" * 5000),
    "no time": catalogue(issued="yesterday"),
    "a time without a zone": catalogue(issued="2026-01-01T00:00:00"),
    "a number for a time": catalogue(expires=1_800_000_000),
    "an unknown member": catalogue(more=1),
    "entries that are none": catalogue(entries={}),
    "an entry that is none": catalogue(entries=["tiny"]),
    "too many entries": catalogue(entries=[{**ENTRY, "name": f"n{number}"} for number in range(10_001)]),
    "the same entry twice": catalogue(entries=[ENTRY, ENTRY]),
    "an entry with an unknown member": entry(more=1),
    "an entry of an unknown kind": entry(kind="firmware"),
    "an entry for another system": entry(platform="windows/amd64"),
    "an entry with a bad name": entry(name="Tiny"),
    "an entry that is an option": entry(name="--name"),
    "an endless description": entry(description="x" * 201),
    "no source": catalogue(entries=[{key: value for key, value in ENTRY.items() if key != "source"}]),
    "an unknown source": entry(source={"type": "torrent"}),
    "a source of no type": entry(source={"url": "https://example.org/"}),
    "a source with an unknown member": source(insecure=True),
    "a recipe that is a path": entry(source={"type": "distribution", "recipe": "/etc/passwd"}),
    "a bundle by file": source(url="file:///etc/passwd"),
    "a bundle by ftp": source(url="ftp://example.org/x"),
    "a bundle of no host": source(url="https:///x"),
    "a bundle with a password": source(url="https://user:secret@example.org/x"),
    "a bundle with a fragment": source(url="https://example.org/x#y"),
    "a bundle at a port that is none": source(url="https://example.org:99999/x"),
    "a bundle at port 0": source(url="https://example.org:0/x"),
    "a bundle with a header in its address": source(url="https://example.org/x\r\nHost: evil"),
    "a bundle with a space": source(url="https://example.org/a b"),
    "a bundle with an endless address": source(url="https://example.org/" + "x" * 3000),
    "a bundle with half a digest": source(sha256="a" * 63),
    "a bundle with a digest in capitals": source(sha256="A" * 64),
    "a bundle with a line break after its digest": source(sha256="a" * 64 + "\n"),
    "a bundle of nothing": source(size=0),
    "a bundle of less": source(size=-1),
    "a bundle beyond every disk": source(size=2**63),
    "an OCI image by tag": oci("registry.example.org/tiny:latest"),
    "an OCI image by a weak digest": oci("registry.example.org/tiny@md5:" + "0" * 32),
    "an OCI image with a space": oci("registry.example.org/ti ny@sha256:" + "0" * 64),
    "an OCI image with an escape": oci("registry.example.org/\x1b[2J@sha256:" + "0" * 64),
    "an OCI kernel": catalogue(
        entries=[{**ENTRY, "kind": "kernel", "source": {"type": "oci", "reference": "r.example/k@sha256:" + "0" * 64}}]
    ),
    "nested beyond reason": b'{"schema":' + b"[" * 100_000,
    "larger than any": b" " * (SIZE_LIMIT_BYTES + 1),
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_document_is_refused(name: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse_catalogue(DOCUMENTS[name], place="the file")
    assert "\n" not in caught.value.summary
    assert caught.value.summary.isprintable()
    assert caught.value.hint


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_signature_does_not_make_it_better(name: str) -> None:
    kind = "application/vnd.banger.catalogue+json"
    payload = DOCUMENTS[name]
    envelope = {
        "payloadType": kind,
        "payload": encode_base64(payload),
        "signatures": [{"keyid": "x", "sig": encode_base64(OLD.sign(authenticate(kind, payload)))}],
    }
    with pytest.raises(BangerError):
        judge(json.dumps(envelope).encode(), place="the file", keys=[public_key(OLD)], memory=Memory(), now=NOW)


def test_a_schema_of_another_time_is_told_apart_from_nonsense() -> None:
    with pytest.raises(Unsupported, match="schema 2"):
        parse_catalogue(b'{"schema": 2, "whatever": []}', place="the file")


def envelope_with(**changes: Any) -> bytes:
    return json.dumps({**json.loads(sign_catalogue(catalogue(), [OLD])), **changes}).encode()


ENVELOPES = {
    "the bare catalogue": catalogue(),
    "no payload": json.dumps({"payloadType": "application/vnd.banger.catalogue+json", "signatures": []}).encode(),
    "a payload that is no base64": envelope_with(payload="*" * 40),
    "base64 with line breaks": envelope_with(payload="e30=\n"),
    "base64 for addresses": envelope_with(payload="__--"),
    "signatures that are none": envelope_with(signatures="x"),
    "a signature that is none": envelope_with(signatures=[{"keyid": "x", "sig": "AAAA"}]),
    "an empty signature": envelope_with(signatures=[{"keyid": "x", "sig": ""}]),
    "too many signatures": envelope_with(signatures=[{"keyid": "x", "sig": "AAAA"}] * 17),
    "a signature beyond all": envelope_with(signatures=[{"keyid": "x", "sig": "A" * 1000}]),
    "another kind": envelope_with(payloadType="text/plain"),
    "rotations that are none": envelope_with(rotations=[1]),
    "too many rotations": envelope_with(rotations=[json.loads(sign_catalogue(catalogue(), [OLD]))] * 65),
    "a rotation of another kind": envelope_with(rotations=[json.loads(sign_catalogue(catalogue(), [OLD]))]),
    "beyond every catalogue": b" " * (2 * SIZE_LIMIT_BYTES + 1),
}


@pytest.mark.parametrize("name", ENVELOPES)
def test_an_envelope_is_refused(name: str) -> None:
    with pytest.raises(BangerError) as caught:
        judge(ENVELOPES[name], place="the file", keys=[public_key(OLD)], memory=Memory(), now=NOW)
    assert caught.value.summary.isprintable()
    assert caught.value.hint


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=400), st.integers(0, 2000), st.integers(0, 200))
def test_any_bytes_in_the_middle_of_it(junk: bytes, start: int, length: int) -> None:
    text = sign_catalogue(catalogue(), [OLD])
    damaged = text[:start] + junk + text[start + length :]
    try:
        verdict = judge(damaged, place="the file", keys=[public_key(OLD)], memory=Memory(), now=NOW)
    except BangerError:
        return
    assert verdict.catalogue == parse_catalogue(catalogue(), place="the file")
