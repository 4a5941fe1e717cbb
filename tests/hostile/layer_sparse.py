"""Sparse files in all their formats."""

from __future__ import annotations

from tests.hostile.archives import block, directory, make_layer, padded, pax, record
from tests.hostile.layer_case import Handled, Refused, one


def sparse_old(
    entries: list[tuple[int, int]], *, real: int, data: bytes, more: list[tuple[int, int]] | None = None
) -> bytes:
    """A member of GNU's type `S`."""

    def pack(pairs: list[tuple[int, int]], size: int) -> bytes:
        return b"".join(b"%011o\0%011o\0" % pair for pair in pairs).ljust(size, b"\0")

    raw = bytearray(block(b"s", kind=b"S", size=len(data), magic=b"ustar  \0"))
    raw[386:482] = pack(entries, 96)
    raw[482] = 1 if more is not None else 0
    raw[483:495] = b"%011o\0" % real
    raw[148:156] = b"%06o\0 " % (sum(raw) - sum(raw[148:156]) + 256)
    extension = (pack(more, 504) + b"\0").ljust(512, b"\0") if more is not None else b""
    return bytes(raw) + extension + padded(data)


def sparse_pax(*records: bytes, data: bytes = b"", name: bytes = b"GNUSparseFile.0/s") -> bytes:
    return pax(*records) + block(name, size=len(data)) + padded(data)


def version_1(map_text: bytes, data: bytes, *, real: int) -> bytes:
    records = (
        record(b"GNU.sparse.major", b"1"),
        record(b"GNU.sparse.minor", b"0"),
        record(b"GNU.sparse.name", b"s"),
        record(b"GNU.sparse.realsize", b"%d" % real),
    )
    return sparse_pax(*records, data=padded(map_text) + data)


def version_0(map_text: bytes, data: bytes, *, real: int, blocks: int) -> bytes:
    records = (
        record(b"GNU.sparse.size", b"%d" % real),
        record(b"GNU.sparse.numblocks", b"%d" % blocks),
        record(b"GNU.sparse.name", b"s"),
        record(b"GNU.sparse.map", map_text),
    )
    return sparse_pax(*records, data=data)


def version_00(pairs: list[tuple[int, int]], data: bytes, *, real: int) -> bytes:
    records = [record(b"GNU.sparse.size", b"%d" % real), record(b"GNU.sparse.numblocks", b"%d" % len(pairs))]
    for offset, size in pairs:
        records += [record(b"GNU.sparse.offset", b"%d" % offset), record(b"GNU.sparse.numbytes", b"%d" % size)]
    return sparse_pax(*records, data=data, name=b"s")


SPARSE_TREE = "s=ab\\x00\\x00cd\\x00\\x00"
MALFORMED = "member s is a sparse file with a malformed map"
SPARSE: dict[str, Handled | Refused] = {
    "sparse, old": Handled(one(sparse_old([(0, 2), (4, 2), (8, 0)], real=8, data=b"abcd")), SPARSE_TREE),
    "sparse, old, with more blocks": Handled(
        one(sparse_old([(0, 1), (1, 1), (4, 1), (5, 1)], more=[(8, 0)], real=8, data=b"abcd")), SPARSE_TREE
    ),
    "sparse, old, all hole": Handled(one(sparse_old([(4, 0)], real=4, data=b"")), "s=\\x00\\x00\\x00\\x00"),
    "sparse, old, empty block of more": Refused(one(sparse_old([(0, 2)], more=[], real=8, data=b"ab")), MALFORMED),
    "sparse, old, cut in the blocks of more": Refused(
        [make_layer(sparse_old([(0, 2)], more=[(4, 0)], real=8, data=b"ab")[:700], end=b"")], "member s is cut short"
    ),
    "sparse 0.0": Handled(one(version_00([(0, 2), (4, 2)], b"abcd", real=8)), SPARSE_TREE),
    "sparse 0.1": Handled(one(version_0(b"0,2,4,2,8,0", b"abcd", real=8, blocks=3)), SPARSE_TREE),
    "sparse 1.0": Handled(one(version_1(b"2\n0\n2\n4\n2\n", b"abcd", real=8)), SPARSE_TREE),
    "sparse pieces overlap": Refused(
        one(sparse_old([(0, 3), (2, 1)], real=8, data=b"abcd")),
        "member s is a sparse file whose pieces overlap or are not in order",
    ),
    "sparse pieces not in order": Refused(
        one(version_1(b"2\n4\n2\n0\n2\n", b"abcd", real=8)),
        "member s is a sparse file whose pieces overlap or are not in order",
    ),
    "sparse piece beyond the end": Refused(
        one(version_0(b"0,2,7,2", b"abcd", real=8, blocks=2)), "member s is a sparse file with data beyond its end"
    ),
    "sparse map for more data": Refused(
        one(version_0(b"0,2,4,3", b"abcd", real=8, blocks=2)),
        "member s is a sparse file with more or less data than its map says",
    ),
    "sparse count that is wrong": Refused(one(version_0(b"0,2,4,2", b"abcd", real=8, blocks=3)), MALFORMED),
    "sparse count that is enormous": Refused(
        one(version_1(b"99999999\n0\n2\n", b"ab", real=8)), "member s is a sparse file of more than 65536 pieces"
    ),
    "sparse map longer than the member": Refused(one(version_1(b"9\n0\n2\n", b"", real=8)), MALFORMED),
    "sparse number without an end": Refused(one(version_1(b"1" * 512, b"", real=8)), MALFORMED),
    "sparse number that is none": Refused(
        one(version_1(b"1\n-1\n2\n", b"ab", real=8)), "member s has a malformed number in its extended header"
    ),
    "sparse with two maps": Refused(
        one(
            sparse_pax(
                record(b"GNU.sparse.size", b"1"),
                record(b"GNU.sparse.numblocks", b"1"),
                record(b"GNU.sparse.map", b"0,1"),
                record(b"GNU.sparse.offset", b"0"),
                record(b"GNU.sparse.numbytes", b"1"),
                record(b"GNU.sparse.name", b"s"),
                data=b"a",
            )
        ),
        "member s is a sparse file with two maps",
    ),
    "sparse of a version to come": Refused(
        one(
            sparse_pax(
                record(b"GNU.sparse.major", b"2"), record(b"GNU.sparse.minor", b"0"), record(b"GNU.sparse.name", b"s")
            )
        ),
        "member s is a sparse file of a format that is not known",
    ),
    "sparse pairs out of turn": Refused(
        one(sparse_pax(record(b"GNU.sparse.numbytes", b"1"), record(b"GNU.sparse.offset", b"1"))),
        "an extended header of the archive is malformed",
    ),
    "sparse directory": Refused(
        one(pax(record(b"GNU.sparse.major", b"1"), record(b"GNU.sparse.minor", b"0")) + directory(b"d")),
        "member d is not a file and yet sparse",
    ),
    "sparse of an exbibyte": Refused(
        one(version_0(b"0,1", b"a", real=1 << 60, blocks=1)),
        "member s makes more than 1048576 bytes of files, which is all there may be",
    ),
    "sparse name that leaves the root": Refused(
        one(
            sparse_pax(
                record(b"GNU.sparse.size", b"0"),
                record(b"GNU.sparse.numblocks", b"0"),
                record(b"GNU.sparse.name", b"../s"),
            )
        ),
        "member ../s leaves the root",
    ),
}
