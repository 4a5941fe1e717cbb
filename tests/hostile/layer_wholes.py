"""Digests, sizes and limits over all layers of an image."""

from __future__ import annotations

from tests.hostile.archives import block, file, gzipped, long_name, make_blob, make_layer, pax, record, symlink
from tests.hostile.layer_case import BASE, BASE_TREE, Handled, Refused, one

from banger.core.layers import Layer


def altered(layer: Layer, **fields: object) -> Layer:
    values = {
        "open": layer.open,
        "media_type": "",
        "digest": layer.digest,
        "size": layer.size,
        "diff_id": layer.diff_id,
    }
    return Layer(**{**values, **fields})  # type: ignore[arg-type]


A = make_layer(file(b"a", b"1"), compress=gzipped)
NO_DIGEST = "0" * 64
WHOLE: dict[str, Handled | Refused] = {
    "no layers": Refused([], "the image has no layers"),
    "too many layers": Refused([BASE] * 13, "the image has 13 layers, and there may be 12"),
    "a layer without entries": Handled([BASE, make_layer(), BASE], BASE_TREE),
    "a layer of no bytes": Handled([BASE, make_blob(b"")], BASE_TREE),
    "only layers without entries": Refused([make_layer(), make_layer()], "the image is empty"),
    "a layer that ends with its last member": Handled([make_layer(file(b"a", b"1"), end=b"")], "a=1"),
    "wrong digest": Refused([altered(A, digest=f"sha256:{NO_DIGEST}")], f"not sha256:{NO_DIGEST} as the image says"),
    "wrong digest of the archive": Refused(
        [altered(A, diff_id=f"sha256:{NO_DIGEST}")],
        f"the archive in the layer is|not sha256:{NO_DIGEST} as the image says",
    ),
    "the blob's digest as the archive's": Refused(
        [altered(A, diff_id=A.digest)], "the archive in the layer is|as the image says"
    ),
    "digest of another length": Refused([altered(A, digest="sha256:00")], "'sha256:00' is not a digest"),
    "digest of another kind": Refused([altered(A, digest="md5:" + "0" * 32)], "|is not a digest"),
    "digest with a path in it": Refused(
        [altered(A, digest="sha256:../../../../etc/passwd")], "'sha256:../../../../etc/passwd' is not a digest"
    ),
    "digest in capitals": Refused([altered(A, digest=A.digest.upper())], "|is not a digest"),
    "a blob that is longer": Refused(
        [altered(A, size=A.size - 1)], f"the layer has more than the {A.size - 1} bytes that the image says"
    ),
    "a blob that is shorter": Refused(
        [altered(A, size=A.size + 1)], f"the layer has {A.size} bytes, not the {A.size + 1} that the image says"
    ),
    "a size of less than nothing": Refused(
        [altered(A, size=-1)], "the layer has more than the -1 bytes that the image says"
    ),
    "members beyond the limit over layers": Refused(
        [make_layer(*(file(b"%d-%d" % (layer, n)) for n in range(30))) for layer in range(2)],
        "member 1-19 is one more than 50 files and directories, which is all there may be",
    ),
    "members up to the limit": Handled(
        one(*(file(b"%02d" % n) for n in range(49))), " ".join(f"{n:02}=" for n in range(49))
    ),
    "bytes beyond the limit over layers": Refused(
        [make_layer(file(b"a%d" % n, bytes(600_000))) for n in range(2)],
        "member a1 makes more than 1048576 bytes of files, which is all there may be",
    ),
    "names beyond the limit over layers": Refused(
        [make_layer(file(b"%02d" % n + b"n" * 240), file(b".wh.%02d" % (n - 1) + b"n" * 240)) for n in range(1, 11)]
        + [make_layer(*(file(b"%03d" % n + b"n" * 250) for n in range(30)))],
        "nnnn|comes after 8000 bytes of names, link targets and attributes, which is all there may be",
    ),
    "a global header and many members": Handled(
        one(pax(record(b"comment", b"c"), kind=b"g"), *(file(b"%02d" % n) for n in range(40))),
        " ".join(f"{n:02}=" for n in range(40)),
    ),
    "links through thousands of names": Refused(
        one(
            *(symlink(b"%d" % n, b"%d/" % (n + 1) + b"b/../" * 400) for n in range(3)),
            *(file(b"0/%d/x" % n) for n in range(3)),
        ),
        "member 0/2/x is behind more than 5000 directories and links, with those of all before it",
    ),
    "whiteouts that look at much": Refused(
        [BASE, make_layer(*(file(b"etc/%d" % n) for n in range(40)), *(file(b".wh.etc") for n in range(200)))],
        "member .wh.etc is behind more than 5000 directories and links, with those of all before it",
    ),
    "records for all members": Refused(
        one(*(pax(record(b"r%d" % n, b"r"), kind=b"g") for n in range(65)), file(b"a")),
        "an extended header of the archive is one of more than 64 records for all members",
    ),
    "a chain of long names": Refused(
        one(long_name(b"a" * 120) * 3, block(b"x")),
        "an extended header of the archive is the second of one kind for one member",
    ),
}
