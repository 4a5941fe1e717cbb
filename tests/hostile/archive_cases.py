"""Archives that are refused whether they are root file systems or layers."""

from __future__ import annotations

from tests.hostile.archives import END, block, long_name, padded, pax, record


def check_reason(summary: str, expected: str) -> None:
    """`expected` is the end of what is said, or its parts with a bar between them: the rest of a long name."""
    *parts, end = expected.split("|")
    assert summary.endswith(end)
    assert all(part in summary for part in parts)


HOSTILE: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "the archive is empty"),
    "text": (b"just some text, long enough " * 40, "a header of the archive belongs to no tar archive, or is damaged"),
    "no end mark": (block(), "the archive has no end mark"),
    "half an end mark": (block() + bytes(512), "a header of the archive is cut short"),
    "more after half an end mark": (
        block() + bytes(512) + block(b"hidden") + END,
        "a header of the archive comes after a part of the end mark",
    ),
    "second archive after the end": (
        block() + END + block(b"hidden") + END,
        "there is something after the end of the archive",
    ),
    "cut in a header": (block()[:300], "a header of the archive is cut short"),
    "cut in a body": (block(size=5000) + bytes(1000), "file is cut short"),
    "cut before padding": (block(size=3) + b"abc", "file is cut short"),
    "cut in padding": (block(size=100) + bytes(200), "file is cut short"),
    "wrong checksum": (block()[:10] + b"x" + block()[11:] + END, "a header of the archive has a wrong checksum"),
    "unknown magic": (
        block(magic=b"evil\0\0\0\0") + END,
        "a header of the archive belongs to no tar archive, or is damaged",
    ),
    "unknown type": (block(kind=b"Z") + END, "file has the unknown type 'Z'"),
    "socket type letter": (block(kind=b"s") + END, "file has the unknown type 's'"),
    "sparse GNU, with data that no map has": (
        block(kind=b"S", size=512) + bytes(512) + END,
        "file is a sparse file with more or less data than its map says",
    ),
    "sparse pax without a map": (
        pax(record(b"GNU.sparse.major", b"1")) + block() + END,
        "file is a sparse file with a malformed map",
    ),
    "parent": (block(b"../etc/passwd") + END, "../etc/passwd leaves the root"),
    "parent inside": (block(b"a/../../b") + END, "a/../../b leaves the root"),
    "parent in the prefix": (block(b"passwd", prefix=b"..") + END, "../passwd leaves the root"),
    "parent in a long name": (long_name(b"../../x\0") + block() + END, "../../x leaves the root"),
    "parent in pax": (pax(record(b"path", b"a/..")) + block() + END, "a/.. leaves the root"),
    "root as a file": (block(b".") + END, ". replaces the root with something that is not a directory"),
    "root as a link": (
        block(b".", kind=b"2", target=b"/etc") + END,
        ". replaces the root with something that is not a directory",
    ),
    "no name": (block(b"") + END, "without a name has no name"),
    "NUL in pax path": (
        pax(record(b"path", b"a\0b")) + block() + END,
        "an extended header of the archive is malformed",
    ),
    "NUL in a long name": (long_name(b"a\0b\0") + block() + END, "an extended header of the archive is malformed"),
    "name too long": (long_name(b"x" * 256) + block() + END, "xxxxxxxxxxxx|has a name that no file can have"),
    "path too deep": (long_name(b"a/" * 300 + b"f") + block() + END, "a/a/a/a/a/a/|has a name that no file can have"),
    "symlink then file through it": (
        block(b"s", kind=b"2", target=b"/etc") + block(b"s/passwd") + END,
        "s/passwd lies below something that is not a directory",
    ),
    "symlink replaces a full directory": (
        block(b"d/f") + block(b"d", kind=b"2", target=b"/") + END,
        "d replaces a directory that is not empty",
    ),
    "symlink without target": (block(kind=b"2") + END, "file is a symbolic link without a usable target"),
    "symlink with NUL target": (
        pax(record(b"linkpath", b"a\0b")) + block(kind=b"2") + END,
        "an extended header of the archive is malformed",
    ),
    "symlink with a body": (
        block(kind=b"2", target=b"t", size=512) + bytes(512) + END,
        "file is not a file and yet has a content",
    ),
    "directory with a body": (
        block(b"d/", kind=b"5", size=512) + bytes(512) + END,
        "d/ is not a file and yet has a content",
    ),
    "hard link outside": (
        block(kind=b"1", target=b"../../etc/shadow") + END,
        "file is a hard link to ../../etc/shadow, which leaves the root",
    ),
    "hard link to nothing": (
        block(kind=b"1", target=b"missing") + END,
        "file is a hard link to missing, which is nothing that can be linked",
    ),
    "hard link to a directory": (
        block(b"d/", kind=b"5") + block(kind=b"1", target=b"d") + END,
        "file is a hard link to d, which is nothing that can be linked",
    ),
    "hard link through a symlink": (
        block(b"s", kind=b"2", target=b"/") + block(kind=b"1", target=b"s/x") + END,
        "file is a hard link to s/x, which is nothing that can be linked",
    ),
    "hard link with a body": (
        block(b"a") + block(b"b", kind=b"1", target=b"a", size=512) + bytes(512) + END,
        "b is not a file and yet has a content",
    ),
    "size not octal": (
        block(size=b"0000000009x\0") + END,
        "a header of the archive has a number in its header that is not octal",
    ),
    "size with a sign": (
        block(size=b"-0000000001\0") + END,
        "a header of the archive has a number in its header that is not octal",
    ),
    "size negative in base 256": (
        block(size=b"\xff" * 12) + END,
        "a header of the archive has a negative number in its header",
    ),
    "size of an exbibyte": (
        block(size=b"\x80" + (1 << 60).to_bytes(11, "big")) + END,
        "file makes more than 1048576 bytes of files, which is all there may be",
    ),
    "size in pax disagrees": (
        pax(record(b"size", b"1024")) + block() + bytes(1024) + END,
        "file has two different sizes",
    ),
    "size in pax negative": (
        pax(record(b"size", b"-1")) + block() + END,
        "file has a malformed number in its extended header",
    ),
    "size in pax not a number": (
        pax(record(b"size", b"1e3")) + block() + END,
        "file has a malformed number in its extended header",
    ),
    "size in pax is nothing": (
        pax(record(b"size", b"")) + block() + END,
        "file has a malformed number in its extended header",
    ),
    "size for all members": (
        pax(record(b"size", b"0"), kind=b"g") + block() + END,
        "an extended header of the archive gives many members one name or size",
    ),
    "path for all members": (
        pax(record(b"path", b"x"), kind=b"g") + block() + END,
        "an extended header of the archive gives many members one name or size",
    ),
    "attribute for all members": (
        pax(record(b"SCHILY.xattr.user.a", b"x"), kind=b"g") + block() + END,
        "an extended header of the archive gives many members one name or size",
    ),
    "pax length 0": (pax(b"0 path=x\n") + block() + END, "an extended header of the archive is malformed"),
    "pax length too large": (pax(b"99 path=x\n") + block() + END, "an extended header of the archive is malformed"),
    "pax length too small": (pax(b"5 path=x\n") + block() + END, "an extended header of the archive is malformed"),
    "pax length with a sign": (pax(b"+9 path=x\n") + block() + END, "an extended header of the archive is malformed"),
    "pax length enormous": (
        pax(b"9" * 200 + b" path=x\n") + block() + END,
        "an extended header of the archive is malformed",
    ),
    "pax without equals": (pax(b"8 path \n") + block() + END, "an extended header of the archive is malformed"),
    "pax without key": (pax(b"5 =x\n") + block() + END, "an extended header of the archive is malformed"),
    "pax without line end": (pax(b"9 path=xy") + block() + END, "an extended header of the archive is malformed"),
    "pax too large": (
        block(kind=b"x", size=9000) + padded(bytes(9000)) + block() + END,
        "an extended header of the archive is too large",
    ),
    "pax size of 2 GiB": (block(kind=b"x", size=(2 << 30)) + END, "an extended header of the archive is too large"),
    "pax twice": (
        pax(record(b"path", b"a")) + pax(record(b"path", b"b")) + block() + END,
        "an extended header of the archive is the second of one kind for one member",
    ),
    "long name twice": (
        long_name(b"a") + long_name(b"b") + block() + END,
        "an extended header of the archive is the second of one kind for one member",
    ),
    "long name and pax disagree": (
        long_name(b"a") + pax(record(b"path", b"b")) + block() + END,
        "file has two different names",
    ),
    "headers without a member": (
        pax(record(b"path", b"a")) + END,
        "the archive ends after a header that belongs to a missing member",
    ),
    "long name without a member": (
        long_name(b"a") + END,
        "the archive ends after a header that belongs to a missing member",
    ),
    "owner of 2^32": (
        block(uid=b"\x80" + (1 << 32).to_bytes(7, "big")) + END,
        "file belongs to an impossible user or group",
    ),
    "owner minus one": (
        pax(record(b"uid", b"4294967295")) + block() + END,
        "file belongs to an impossible user or group",
    ),
    "owner not a number": (
        pax(record(b"uid", b"0x0")) + block() + END,
        "file has a malformed number in its extended header",
    ),
    "mode not octal": (block(mode=b"rwxr-xr-") + END, "file has a number in its header that is not octal"),
    "time malformed": (pax(record(b"mtime", b"1.2.3")) + block() + END, "file has a malformed time"),
    "time enormous": (pax(record(b"mtime", b"9" * 18)) + block() + END, "file has an impossible time"),
    "device enormous": (
        block(kind=b"3", device=b"7777777\x007777777\0") + END,
        "file is a device with impossible numbers",
    ),
    "attribute of no namespace": (
        pax(record(b"SCHILY.xattr.evil", b"x")) + block() + END,
        "file has an extended attribute with a name that Linux does not have",
    ),
    "attribute without name": (
        pax(record(b"SCHILY.xattr.", b"x")) + block() + END,
        "file has an extended attribute with a name that Linux does not have",
    ),
    "attribute too large": (
        pax(record(b"SCHILY.xattr.user.a", b"x" * 4000)) + block() + END,
        "file has more than 3968 bytes of extended attributes",
    ),
    "attributes too many": (
        pax(*(record(b"SCHILY.xattr.user.%d" % n, b"x" * 100) for n in range(36))) + block() + END,
        "file has more than 3968 bytes of extended attributes",
    ),
    "too many members": (
        b"".join(block(b"%d" % n) for n in range(60)) + END,
        "49 is one more than 50 files and directories, which is all there may be",
    ),
    "too many headers": (
        pax(record(b"comment", b"c"), kind=b"g") * 300 + block() + END,
        "the archive has more than 200 headers",
    ),
    "too many implied directories": (
        block(b"a/" * 49 + b"f") + block(b"b/" * 49 + b"f") + END,
        "a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/f is one more than 50 files and directories, which is all there may be",
    ),
    "too much in names": (
        b"".join(long_name(b"%d" % n + b"x" * 250) + block() for n in range(40)) + END,
        "31xxxxxxxxxx|comes after 8000 bytes of names, link targets and attributes, which is all there may be",
    ),
    "too much in files": (
        block(size=(1 << 20) + 1) + bytes(2 << 20) + END,
        "file makes more than 1048576 bytes of files, which is all there may be",
    ),
    "gzip": (b"\x1f\x8b\x08\0" + bytes(2000), "the archive is compressed with gzip"),
    "zstd": (b"\x28\xb5\x2f\xfd" + bytes(2000), "the archive is compressed with zstd"),
}
