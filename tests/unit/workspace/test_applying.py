"""Which changes of a patch are made, which are there already, and what of earlier ones is taken back."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from banger.workspace.applying import FileChange, select_changes
from banger.workspace.bench import Content, explain_misfit
from banger.workspace.embedded import find_git_directory

OLD, ONE, TWO = (Content("100644", letter * 40) for letter in "abc")
Changes = Mapping[bytes, FileChange]


def change(old: Content | None, new: Content | None) -> Changes:
    return {b"x": FileChange(b"x", old, new, ())}


def test_a_first_patch() -> None:
    selected = select_changes(change(OLD, ONE), {b"x": OLD}, [])
    assert ([one.path for one in selected.made], selected.already, selected.undone) == ([b"x"], 0, ())


@pytest.mark.parametrize(
    ("old", "new", "here"),
    [(OLD, ONE, ONE), (None, ONE, ONE), (OLD, None, None), (OLD, Content("100755", ""), Content("100755", "z"))],
)
def test_what_is_there_already(old: Content | None, new: Content | None, here: Content | None) -> None:
    selected = select_changes(change(old, new), {b"x": here} if here is not None else {}, [])
    assert (selected.made, selected.already) == ((), 1)


def test_a_second_patch_of_the_same_file() -> None:
    selected = select_changes(change(OLD, TWO), {b"x": ONE}, [change(OLD, ONE)])
    assert len(selected.made) == 1
    assert [index for index, _ in selected.undone] == [0]


def test_the_one_that_is_there_is_taken_back_and_not_a_newer_one() -> None:
    selected = select_changes(
        change(OLD, TWO), {b"x": ONE}, [change(OLD, Content("100644", "e" * 40)), change(OLD, ONE)]
    )
    assert [index for index, _ in selected.undone] == [1]


def test_a_file_that_is_mine_by_now_is_not_taken_back() -> None:
    mine = Content("100644", "f" * 40)
    assert select_changes(change(OLD, TWO), {b"x": mine}, [change(OLD, ONE)]).undone == ()
    assert select_changes({}, {b"x": mine}, [change(OLD, ONE)]).reverted == ()


@pytest.mark.parametrize(("old", "new"), [(OLD, ONE), (None, ONE), (OLD, None)])
def test_what_the_guest_has_no_more(old: Content | None, new: Content | None) -> None:
    here = {b"x": new} if new is not None else {}
    selected = select_changes({}, here, [change(old, new)])
    assert (selected.made, selected.reverted) == ((), (b"x",))
    assert select_changes({}, here, [{}, change(old, new)]).reverted == ()  # a newer one knew nothing of it


@pytest.mark.parametrize(
    ("said", "names"),
    [
        (b"error: patch failed: a.txt:1\nerror: a.txt: patch does not apply\n", "a.txt"),
        (b"error: x: already exists in index\n", "x"),
        (b"error: a: does not exist in index\nerror: b: does not exist in index\n", "a, b"),
        (b"error: patch failed: a\x1b[31m:1\n", "a\\x1b[31m"),
        (b"error: corrupt patch at line 3\n", "error: corrupt patch at line 3"),
        (b"", ""),
    ],
)
def test_what_does_not_fit_is_named(said: bytes, names: str) -> None:
    assert explain_misfit(said).summary == f"the patch does not fit the files here: {names}"


@pytest.mark.parametrize(
    ("paths", "found"),
    [
        ([b"a/HEAD", b"a/objects/x", b"a/refs/y"], b"a"),
        ([b"a/b/HEAD", b"a/b/commondir"], b"a/b"),
        ([b"a/head", b"a/OBJECTS/x", b"a/Refs/y/z"], b"a"),
        ([b"HEAD", b"objects/x", b"refs/y"], None),  # the top is one already
        ([b"a/HEAD", b"a/objects/x", b"b/refs/y"], None),
        ([b"a/HEAD", b"a/objects/x"], None),
        ([b"HEAD/objects/x", b"HEAD/refs/x"], None),
        ([b"a.x/y", b"a/HEAD", b"b/z", b"a/objects/x", b"a-/z", b"a/refs/y/z", b"a/refs-/y"], b"a"),
        ([b"x/a/refs/y", b"x/a/objects/y", b"x/b/HEAD", b"x/a/head/y"], b"x/a"),
    ],
)
def test_directories_that_git_would_take_for_a_repository(paths: list[bytes], found: bytes | None) -> None:
    assert find_git_directory(paths) == found


@pytest.mark.parametrize("first", ["HEAD", "head", "objects", "refs"])
def test_parts_of_a_repository_may_be_there_already(first: str) -> None:
    there = {b"a/HEAD", b"a/objects", b"a/refs"} - {f"a/{first}".encode()}
    new = f"a/{first}" + ("" if first.upper() == "HEAD" else "/x")
    assert find_git_directory([new.encode()], there.__contains__) == b"a"
    assert find_git_directory([new.encode()]) is None
    assert find_git_directory([new.encode()], {b"a/objects"}.__contains__) is None
