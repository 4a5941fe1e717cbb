"""Lock files, which come from repositories and so from anybody."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from banger.core.errors import BangerError, Invalid, Unsupported
from banger.core.lock_file import SIZE_LIMIT_BYTES, SOURCES, Lock, Pin, check_pin, parse_lock, render_lock

DIGEST = "sha256:" + "a" * 64
PIN = Pin("app", "linux/amd64", DIGEST, "oci", "docker.io/library/alpine:3.20", DIGEST)
LOCK = Lock(PIN, PIN._replace(name="mine", source="other", reference="", fetched=""))
GOOD = render_lock(LOCK)


def changed(before: str, after: str) -> bytes:
    text = GOOD.decode()
    assert before in text
    return text.replace(before, after, 1).encode()


FILES = {
    "empty": b"",
    "no text": b"\xff\xfe\x00",
    "no TOML": b"version = = 1",
    "JSON": b'{"version": 1}',
    "only a version": b"version = 1",
    "no version": GOOD.replace(b"version = 1\n", b""),
    "a version of text": changed("version = 1", 'version = "1"'),
    "a version of truth": changed("version = 1", "version = true"),
    "an unknown member": changed("version = 1", "version = 1\nmore = 2"),
    "an unknown member of a pin": changed("[image]", '[image]\nrun = "rm -rf /"'),
    "a pin that is a list": b"version = 1\nimage = []\nkernel = []",
    "a pin that is a text": b'version = 1\nimage = "app"\nkernel = "mine"',
    "no kernel": GOOD.partition(b"[kernel]")[0],
    "a number for a name": changed('name = "app"', "name = 1"),
    "a path for a name": changed('name = "app"', 'name = "../../etc"'),
    "an option for a name": changed('name = "app"', 'name = "--privileged"'),
    "an escape in a name": changed('name = "app"', 'name = "\\u001b[2J"'),
    "a long name": changed('name = "app"', f'name = "{"a" * 64}"'),
    "another platform": changed("linux/amd64", "windows/amd64"),
    "an escape in the platform": changed("linux/amd64", "linux/\\u001b[2J"),
    "no digest": changed(f'digest = "{DIGEST}"', 'digest = ""'),
    "half a digest": changed(DIGEST, DIGEST[:-1]),
    "a digest in capitals": changed(DIGEST, DIGEST.replace("a" * 64, "A" * 64)),
    "a digest that is a path": changed(DIGEST, "sha256:../../../../etc/passwd"),
    "a digest with a line break": changed(DIGEST, DIGEST + "\\n"),
    "a weak digest": changed(DIGEST, "md5:" + "a" * 32),
    "a wrong digest of what came": changed(f'fetched = "{DIGEST}"', 'fetched = "latest"'),
    "an unknown source": changed('source = "oci"', 'source = "curl"'),
    "an escape in the reference": changed("alpine:3.20", "alpine\\u001b[2J"),
    "a line break in the reference": changed("alpine:3.20", "alpine\\nx"),
    "an endless reference": changed("alpine:3.20", "a" * 600),
    "a date for a digest": changed(f'digest = "{DIGEST}"', "digest = 2026-01-01"),
    "a member twice": changed('name = "app"', 'name = "app"\nname = "app"'),
    "nested beyond reason": b"image = " + b"[" * 5000,
    "too large": GOOD + b"#" * SIZE_LIMIT_BYTES,
}


@pytest.mark.parametrize("name", FILES)
def test_it_is_refused(name: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse_lock(FILES[name], file="/repo/banger.lock")
    assert caught.value.summary.isprintable()
    assert "/repo/banger.lock" in caught.value.summary
    assert caught.value.hint


def test_another_version_is_told_apart() -> None:
    with pytest.raises(Unsupported, match="version 2"):
        parse_lock(b"version = 2\nwhatever = 1", file="banger.lock")


def test_what_is_written_is_read_back_and_always_the_same() -> None:
    assert parse_lock(GOOD, file="banger.lock") == LOCK
    assert render_lock(parse_lock(GOOD, file="banger.lock")) == GOOD
    assert GOOD.decode() == (
        "# What the VMs of this repository boot with `banger vm run --locked`. Written by `banger lock`.\n"
        "version = 1\n\n[image]\n"
        f'name = "app"\nplatform = "linux/amd64"\ndigest = "{DIGEST}"\nsource = "oci"\n'
        f'reference = "docker.io/library/alpine:3.20"\nfetched = "{DIGEST}"\n\n[kernel]\n'
        f'name = "mine"\nplatform = "linux/amd64"\ndigest = "{DIGEST}"\nsource = "other"\n'
    )


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(SOURCES),
    st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=100),
    st.sampled_from(["", DIGEST]),
)
def test_any_reference_survives(source: str, reference: str, fetched: str) -> None:
    lock = Lock(PIN._replace(source=source, reference=reference, fetched=fetched), PIN)
    assert parse_lock(render_lock(lock), file="banger.lock") == lock


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60), st.integers(0, len(GOOD)), st.integers(0, 60))
def test_any_bytes_in_it(junk: bytes, at: int, length: int) -> None:
    try:
        lock = parse_lock(GOOD[:at] + junk + GOOD[at + length :], file="banger.lock")
    except BangerError:
        return
    for pin in lock:
        check_pin(pin)
