"""Compressed layers, damaged and made to grow."""

from __future__ import annotations

from tests.hostile.archives import END, GZIP, ZSTD, file, gzipped, make_blob, make_layer, pax, record, zstd
from tests.hostile.layer_case import Handled, Refused

SMALL_ARCHIVE = file(b"a", b"1") + END
EMPTY_ZSTD_FRAME = zstd.compress(b"")
SKIPPABLE = b"\x50\x2a\x4d\x18" + (4).to_bytes(4, "little") + b"skip"
CORRUPT_CRC = bytearray(gzipped(SMALL_ARCHIVE))
CORRUPT_CRC[-8] ^= 1
CORRUPT_LENGTH = bytearray(gzipped(SMALL_ARCHIVE))
CORRUPT_LENGTH[-1] ^= 1
HALVES = SMALL_ARCHIVE[:700], SMALL_ARCHIVE[700:]
SHORTER = "the layer is cut short"


def wide_window() -> bytes:
    """A zstd frame that wants 128 MiB of history."""
    options: dict[int, int] = {zstd.CompressionParameter.window_log: 27, zstd.CompressionParameter.content_size_flag: 0}
    compressor = zstd.ZstdCompressor(options=options)
    return compressor.compress(SMALL_ARCHIVE) + compressor.flush()


COMPRESSION: dict[str, Handled | Refused] = {
    "gzip": Handled([make_layer(file(b"a", b"1"), compress=gzipped, media_type=GZIP)], "a=1"),
    "zstd": Handled([make_layer(file(b"a", b"1"), compress=zstd.compress, media_type=ZSTD)], "a=1"),
    "plain that is called gzip": Handled([make_layer(file(b"a", b"1"), media_type=GZIP)], "a=1"),
    "zstd that is called gzip": Handled([make_layer(file(b"a", b"1"), compress=zstd.compress, media_type=GZIP)], "a=1"),
    "gzip in members": Handled([make_blob(gzipped(HALVES[0]) + gzipped(b"") + gzipped(HALVES[1]))], "a=1"),
    "gzip with zeros after it": Handled([make_blob(gzipped(SMALL_ARCHIVE) + bytes(600))], "a=1"),
    "gzip with garbage after it": Refused(
        [make_blob(gzipped(SMALL_ARCHIVE) + b"garbage")], "the layer continues after its compressed data"
    ),
    "gzip and then zstd": Refused(
        [make_blob(gzipped(SMALL_ARCHIVE) + zstd.compress(SMALL_ARCHIVE))],
        "the layer continues after its compressed data",
    ),
    "gzip with a second archive": Refused(
        [make_blob(gzipped(SMALL_ARCHIVE) + gzipped(file(b"b") + END))],
        "there is something after the end of the archive",
    ),
    "gzip with a wrong CRC": Refused([make_blob(bytes(CORRUPT_CRC))], "the layer is damaged|incorrect data check"),
    "gzip with a wrong length": Refused(
        [make_blob(bytes(CORRUPT_LENGTH))], "the layer is damaged|incorrect length check"
    ),
    "gzip cut in its trailer": Refused([make_blob(gzipped(SMALL_ARCHIVE)[:-5])], SHORTER),
    "gzip cut in its data": Refused([make_blob(gzipped(SMALL_ARCHIVE)[:40])], "the layer is cut short"),
    "gzip cut in its header": Refused([make_blob(gzipped(SMALL_ARCHIVE)[:7])], SHORTER),
    "gzip cut in its second member": Refused([make_blob(gzipped(HALVES[0]) + gzipped(HALVES[1])[:-9])], SHORTER),
    "gzip of gzip": Refused([make_blob(gzipped(gzipped(SMALL_ARCHIVE)))], "the archive is compressed with gzip"),
    "zstd in frames": Handled(
        [make_blob(zstd.compress(HALVES[0]) + EMPTY_ZSTD_FRAME + zstd.compress(HALVES[1]))], "a=1"
    ),
    "zstd with skippable frames": Handled([make_blob(SKIPPABLE + zstd.compress(SMALL_ARCHIVE) + SKIPPABLE)], "a=1"),
    "zstd with garbage after it": Refused(
        [make_blob(zstd.compress(SMALL_ARCHIVE) + b"garbage")], "the layer continues after its compressed data"
    ),
    "zstd cut short": Refused([make_blob(zstd.compress(SMALL_ARCHIVE)[:-3])], SHORTER),
    "zstd with a window of 128 MiB": Refused(
        [make_blob(wide_window())], "the layer is damaged|Frame requires too much memory for decoding"
    ),
    "zstd with a skippable frame of 4 GiB": Refused(
        [make_blob(b"\x50\x2a\x4d\x18\xff\xff\xff\xff" + bytes(100))], SHORTER
    ),
    "xz": Refused([make_blob(b"\xfd7zXZ\0" + bytes(600))], "the archive is compressed with xz"),
    "bzip2": Refused([make_blob(b"BZh9" + bytes(600))], "the archive is compressed with bzip2"),
    "no archive": Refused(
        [make_blob(b"text " * 300)], "a header of the archive belongs to no tar archive, or is damaged"
    ),
    "gzip bomb": Refused(
        [make_layer(file(b"bomb", bytes(900_000)), compress=gzipped)],
        "the layer expands to more than 20 times its size, at the archive member bomb",
    ),
    "zstd bomb": Refused(
        [make_layer(file(b"bomb", bytes(900_000)), compress=zstd.compress)],
        "the layer expands to more than 20 times its size, at the archive member bomb",
    ),
    "gzip bomb of padding": Refused(
        [make_layer(file(b"a"), bytes(900_000), compress=gzipped)], "the layer expands to more than 20 times its size"
    ),
    "gzip bomb of headers": Refused(
        [make_layer(pax(record(b"comment", b"c"), kind=b"g") * 700, file(b"a"), compress=gzipped)],
        "the layer expands to more than 20 times its size",
    ),
    "something else than a layer": Refused(
        [make_layer(file(b"a"), media_type="application/vnd.oci.image.config.v1+json")],
        "the layer is not a tar archive, but 'application/vnd.oci.image.config.v1+json'",
    ),
    "an encrypted layer": Refused(
        [make_layer(file(b"a"), media_type=GZIP + "+encrypted")],
        f"the layer is not a tar archive, but '{GZIP}+encrypted'",
    ),
    "ESC in the media type": Refused(
        [make_layer(file(b"a"), media_type="\x1b[2J")], r"the layer is not a tar archive, but '\x1b[2J'"
    ),
}
