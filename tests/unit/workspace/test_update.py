"""What moves when a workspace is brought up to date, and what is in the way of it."""

from __future__ import annotations

import tracemalloc

import pytest

from banger.core.errors import Failed
from banger.workspace.choice import Choice
from banger.workspace.history import History, cut_history
from banger.workspace.index import IndexEntry, Stat
from banger.workspace.known import Known, as_sent, decode_known, encode_known
from banger.workspace.survey import parse_survey
from banger.workspace.update import GuestChange, UpdatePlan, plan_update
from banger.workspace.work_tree import Stamp

FILE, PROGRAM = 0o100644, 0o100755
OIDS = {name: bytes([number + 1]) * 20 for number, name in enumerate("ABCD")}


def entries(**files: str) -> dict[bytes, IndexEntry]:
    """`a__b="A"` is a file a/b with content A; a star behind it makes it a program."""
    found = {}
    for name, content in files.items():
        path = name.replace("__", "/").encode()
        mode = PROGRAM if content.endswith("*") else FILE
        found[path] = IndexEntry(path, Stat(mode=mode, mtime_s=5, size=10), OIDS[content[0]])
    return found


def change(path: str, content: str | None) -> GuestChange:
    return GuestChange(path.encode(), FILE if content else 0, OIDS[content] if content else bytes(20))


def plan(
    before: dict[bytes, IndexEntry],
    after: dict[bytes, IndexEntry],
    *changes: GuestChange,
    overwrite: bool = False,
    sizes: dict[bytes, int] | None = None,
) -> UpdatePlan:
    return plan_update(before=before, after=after, sizes=sizes or {}, changes=changes, overwrite=overwrite)


def test_nothing_changed() -> None:
    assert plan(entries(a="A"), entries(a="A")) == UpdatePlan(
        send=(), remove=(), clear=(), directories=(), conflicts=()
    )


def test_changed_new_and_gone() -> None:
    found = plan(entries(a="A", b="A", c="A", d="A"), entries(a="B", b="A*", c="A", e__f="A"))
    assert found.send == (b"a", b"b", b"e/f")
    assert found.remove == (b"d",)
    assert found.clear == (b"e/f",)
    assert found.conflicts == ()


def test_line_ends_change_although_git_sees_the_same() -> None:
    assert plan(entries(a="A"), entries(a="A"), sizes={b"a": 11}).send == (b"a",)
    assert plan(entries(a="A"), entries(a="A"), sizes={b"a": 10}).send == ()


def test_directories_that_may_be_empty_come_innermost_first() -> None:
    found = plan(entries(a__b__c="A", a__d="A", x__y="A"), entries(x__z="A"))
    assert found.remove == (b"a/b/c", b"a/d", b"x/y")
    assert found.directories == (b"a/b", b"a")


@pytest.mark.parametrize(
    ("done", "conflicts"),
    [
        (change("a", "C"), (b"a",)),  # other content
        (change("a", "B"), ()),  # the same content
        (change("a", None), (b"a",)),  # removed there, changed here
        (change("d", "C"), (b"d",)),  # changed there, removed here
        (change("d", None), ()),  # removed on both sides
        (change("n/m", "C"), (b"n/m",)),  # new on both sides
        (change("n", "C"), (b"n",)),  # a file where a directory is to be
        (change("a/x", "C"), (b"a/x",)),  # a directory where a file is to be
        (change("k", "C"), ()),  # only there
        (change("other", "C"), ()),
    ],
)
def test_conflicts(done: GuestChange, conflicts: tuple[bytes, ...]) -> None:
    before, after = entries(a="A", d="A", k="A"), entries(a="B", k="A", n__m="A")
    assert plan(before, after, done).conflicts == conflicts
    assert plan(before, after, done, overwrite=True).conflicts == ()


def test_overwriting_restores_everything() -> None:
    done = (change("a", "C"), change("b", None), change("new", "C"))
    found = plan(entries(a="A", b="A"), entries(a="A", b="A"), *done, overwrite=True)
    assert found.send == (b"a", b"b")
    assert found.remove == (b"new",)


def test_what_is_known_is_read_as_it_was_written() -> None:
    files = entries(a="A", b__c="B*")
    sent = as_sent(files[b"a"], Stamp(7, 100, 1_600_000_000_123_456_789, 9))
    assert (sent.stat.mtime_s, sent.stat.mtime_ns, sent.stat.size) == (1_600_000_000, 123_456_789, 100)
    known = Known(
        base="1" * 40,
        head=None,
        object_format="sha1",
        shallow=("2" * 40,),
        choice=Choice(branch="work", include_untracked=True),
        index_tree="3" * 40,
        files={**files, b"a": sent},
    )
    assert decode_known(encode_known(known)) == known
    assert decode_known(encode_known(known)[:-30]) is None
    assert decode_known(b"") is None
    assert decode_known(b'{"base": 1}\nDIRC') is None


def test_what_a_guest_says_is_read_strictly() -> None:
    raw = b":100644 100755 %s %s M\0a\nb\0" % (b"1" * 40, b"2" * 40)
    found = parse_survey(b"3" * 40 + b"\nrefs/heads/main\n\n" + raw)
    assert (found.head, found.branch, found.tip) == ("3" * 40, "main", None)
    assert found.changes == (GuestChange(b"a\nb", PROGRAM, bytes.fromhex("2" * 40)),)
    assert parse_survey(b"\n\n\n").changes == ()
    for nonsense in (
        b"",
        b"\n\n",
        b"xyz\n\n\n",
        b"\n\n\n" + raw[:-1],
        b"\n\n\n" + raw.replace(b"755", b"9"),
        b"\n\n\n\0",
    ):
        with pytest.raises(Exception, match="does not give"):
            parse_survey(nonsense)


def test_history_ends_where_the_guest_lacks_what_was_before() -> None:
    history = History("t", {"d": ("c", "s"), "s": ("old",), "c": ("known",)})
    cut = cut_history(history, depth=50, limit=100, there={"known"})
    assert set(cut.kept) == {"d", "s", "c"}
    assert cut.ends == ("s",)


def test_an_answer_full_of_nothing_takes_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    said = b"\n\n\n" + bytes(8 << 20)
    tracemalloc.start()
    try:
        with pytest.raises(Failed, match="does not give"):
            parse_survey(said)
        assert tracemalloc.get_traced_memory()[1] < 10 << 20  # one copy of it
    finally:
        tracemalloc.stop()
    monkeypatch.setattr("banger.workspace.survey.CHANGES_LIMIT", 2)
    change = b":000000 100644 " + b"0" * 40 + b" " + b"a" * 40 + b" A\0p\0"
    assert len(parse_survey(b"\n\n\n" + 2 * change).changes) == 2
    with pytest.raises(Failed, match="more was changed"):
        parse_survey(b"\n\n\n" + 3 * change)
