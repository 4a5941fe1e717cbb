"""Valid sessions for the fuzzer to begin with: `python agent/fuzz/make_corpus.py DIRECTORY`."""

from __future__ import annotations

import struct
import sys
from pathlib import Path


def frame(kind: int, stream: int, payload: bytes = b"", flags: int = 0) -> bytes:
    return struct.pack("<BBHII", kind, flags, 0xB35A ^ kind ^ flags << 8, stream, len(payload)) + payload


def field(tag: int, value: bytes) -> bytes:
    return struct.pack("<BI", tag, len(value)) + value


def record(kind: bytes, path: bytes, content: bytes = b"") -> bytes:
    return kind + struct.pack("<IIIqIQI", 0o644, 0, 0, 1, 0, len(content), len(path)) + path + content


def sessions() -> dict[str, bytes]:
    hello = frame(1, 0, field(1, (1).to_bytes(8, "little")))
    tree = record(b"d", b"a") + record(b"f", b"a/b", b"text") + record(b"l", b"a/c", b"b") + record(b"h", b"d", b"a/b")
    put = frame(4, 1, field(1, b"\2") + field(10, b"/t") + field(11, (0).to_bytes(8, "little")))
    run = frame(4, 2, field(1, b"\1") + field(10, b"sh") + field(11, b"A=b") + field(14, (3).to_bytes(8, "little")))
    return {
        "put": hello + put + frame(5, 1, tree + b"."),
        "exec": hello + run + frame(5, 2, b"input") + frame(8, 2, field(1, (15).to_bytes(8, "little"))) + frame(6, 2),
        "windows": hello + run + frame(7, 2, struct.pack("<I", 1)) + frame(11, 2),
        "ping": hello + frame(2, 0, b"token"),
        "get": hello + frame(4, 3, field(1, b"\3") + field(10, b"/")),
    }


if __name__ == "__main__":
    directory = Path(sys.argv[1])
    directory.mkdir(parents=True, exist_ok=True)
    for name, session in sessions().items():
        for piece in (0, 10, 255):
            (directory / f"{name}-{piece}").write_bytes(bytes([piece]) + session)
