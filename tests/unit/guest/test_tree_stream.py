"""The records of file trees: round trips, refusals, and any bytes at all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from banger.core.errors import Invalid
from banger.guest.tree_stream import (
    PATH_LIMIT,
    RECORD_SIZE,
    TREE_END,
    MalformedTree,
    TreeDecoder,
    TreeRecord,
    encode_record,
    path_problem,
)

names = st.binary(min_size=1, max_size=20).filter(lambda name: name not in (b".", b"..") and not set(name) & {0, 47})
paths = st.lists(names, min_size=1, max_size=4).map(b"/".join)
times = {"mtime_s": st.integers(-(1 << 63), (1 << 63) - 1), "mtime_ns": st.integers(0, 999_999_999)}
owners = {"uid": st.integers(0, 0xFFFF_FFFF), "gid": st.integers(0, 0xFFFF_FFFF), "mode": st.integers(0, 0o7777)}
targets = st.binary(min_size=1, max_size=50).filter(lambda target: 0 not in target)
entries = st.one_of(
    st.tuples(st.builds(TreeRecord, kind=st.just("d"), path=paths, **times, **owners), st.just(b"")),
    st.tuples(st.builds(TreeRecord, kind=st.just("l"), path=paths, target=targets, **times, **owners), st.just(b"")),
    st.tuples(st.builds(TreeRecord, kind=st.just("h"), path=paths, target=paths, **times, **owners), st.just(b"")),
    st.binary(max_size=300).flatmap(
        lambda content: st.tuples(
            st.builds(TreeRecord, kind=st.just("f"), path=paths, size=st.just(len(content)), **times, **owners),
            st.just(content),
        )
    ),
)


def decode(wire: bytes, step: int) -> list[tuple[TreeRecord, bytes]]:
    decoder = TreeDecoder()
    found: list[tuple[TreeRecord, bytes]] = []
    for start in range(0, len(wire), step):
        for event in decoder.feed(wire[start : start + step]):
            if isinstance(event, TreeRecord):
                found.append((event, b""))
            else:
                found[-1] = (found[-1][0], found[-1][1] + event)
    decoder.finish()
    return found


def test_a_record_has_the_layout_of_the_page() -> None:
    record = TreeRecord(kind="f", path=b"a/b", mode=0o644, size=5, uid=1, gid=2, mtime_s=-1, mtime_ns=3)
    assert encode_record(record) == (
        b"f"
        + (0o644).to_bytes(4, "little")
        + b"\x01\x00\x00\x00\x02\x00\x00\x00"
        + b"\xff" * 8
        + b"\x03\x00\x00\x00"
        + b"\x05" + bytes(7)
        + b"\x03\x00\x00\x00"
        + b"a/b"
    )  # fmt: skip
    assert RECORD_SIZE == 37


@given(st.lists(entries, max_size=8), st.integers(1, 200))
def test_trees_survive_any_cutting(tree: list[tuple[TreeRecord, bytes]], step: int) -> None:
    wire = b"".join(encode_record(record) + content for record, content in tree) + TREE_END
    assert decode(wire, step) == tree


@given(st.lists(st.one_of(st.binary(max_size=100), entries.map(lambda entry: encode_record(entry[0]) + entry[1]))))
def test_any_bytes_give_records_or_malformed_tree(pieces: list[bytes]) -> None:
    decoder = TreeDecoder()
    try:
        for piece in pieces:
            for event in decoder.feed(piece):
                assert not isinstance(event, TreeRecord) or not event.path or path_problem(event.path) is None
            assert len(decoder._held) <= RECORD_SIZE + 2 * PATH_LIMIT
        decoder.finish()
    except MalformedTree:
        pass


@pytest.mark.parametrize(
    "path",
    [b"", b"/a", b"a/", b"a//b", b".", b"..", b"a/../b", b"a/.", b"a\0b", b"x" * 256, b"/".join([b"abc"] * 1025)],
)
def test_bad_paths_are_refused_in_both_directions(path: bytes) -> None:
    record = TreeRecord(kind="d", path=path, mode=0o755)
    with pytest.raises(Invalid):
        encode_record(record)
    good = encode_record(TreeRecord(kind="d", path=b"good", mode=0o755))
    wire = good[:33] + len(path).to_bytes(4, "little") + path
    with pytest.raises(MalformedTree):
        decode(wire + TREE_END, 1000)


def test_names_of_any_other_bytes_are_fine() -> None:
    for path in (b"a b", b"a\nb", b"\xff\xfe", b"...", b"-rf", b"x" * 255):
        assert path_problem(path) is None


@pytest.mark.parametrize(
    ("offset", "value"),
    [
        (0, b"x"),  # kind
        (1, (0o10000).to_bytes(4, "little")),  # mode
        (21, (1_000_000_000).to_bytes(4, "little")),  # nanoseconds
        (33, (4096).to_bytes(4, "little")),  # length of the path
    ],
)
def test_impossible_fields_are_refused(offset: int, value: bytes) -> None:
    good = encode_record(TreeRecord(kind="f", path=b"good", mode=0o755))
    with pytest.raises(MalformedTree):
        decode(good[:offset] + value + good[offset + len(value) :] + TREE_END, 1)


def test_a_directory_with_content_and_a_target_that_is_too_long_are_refused() -> None:
    for kind in "dlh":
        wire = kind.encode() + bytes(24) + (5000).to_bytes(8, "little") + b"\x01\x00\x00\x00a"
        with pytest.raises(MalformedTree):
            decode(wire + bytes(5000) + TREE_END, 100)


def test_a_tree_has_one_end() -> None:
    with pytest.raises(MalformedTree, match="cut short"):
        TreeDecoder().finish()
    with pytest.raises(MalformedTree, match="after its end"):
        decode(TREE_END + TREE_END, 1)


def test_a_single_file_has_an_empty_path_and_no_company() -> None:
    head = b"f" + bytes(24) + (2).to_bytes(8, "little") + bytes(4)
    ((record, content),) = decode(head + b"hi" + TREE_END, 7)
    assert (record.path, record.size, content) == (b"", 2, b"hi")
    with pytest.raises(MalformedTree):
        decode(head + b"hi" + head + b"hi" + TREE_END, 7)
    with pytest.raises(MalformedTree):
        decode(b"d" + bytes(36) + TREE_END, 7)
