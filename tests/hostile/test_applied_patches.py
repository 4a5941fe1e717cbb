"""Patches all the way into a work tree: named ones, and ten thousand at random. Nothing else changes, nothing is run."""

from __future__ import annotations

import io
import os
import posixpath
import subprocess
import threading
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from tests.hostile.patch_host import PatchHost, see
from tests.hostile.patch_maker import PatchMaker
from tests.hostile.test_patch_grammar import REFUSED
from tests.hostile.test_patches import MALFORMED, PATHS, added, modified

from banger.core.errors import BangerError, Denied
from banger.workspace.placing import PlacedFile, Placing
from banger.workspace.verdict import PatchVerdict, judge_patch
from banger.workspace.work_tree import WorkTree

COUNT = int(os.environ.get("BANGER_PATCHES", "10000"))
SEED = int(os.environ.get("BANGER_SEED", "1"))
APPLIED = 150


@pytest.fixture
async def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PatchHost:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    host = PatchHost(tmp_path)
    await host.make()
    return host


def judge(patch: bytes) -> PatchVerdict:
    return judge_patch(io.BytesIO(patch), size_bytes=len(patch))


def believe(patch: bytes) -> PatchVerdict:
    """A verdict that lets everything pass, as if ours had a hole: what git lists, as additions."""
    listed = subprocess.run(
        ["git", "apply", "--numstat", "-z", "-"], input=patch, capture_output=True, cwd="/", check=False
    )
    names = [record.split(b"\t", 2)[2] for record in listed.stdout.split(b"\0") if record.count(b"\t") >= 2]
    good = judge(added("x").encode()).files[0]
    return PatchVerdict(files=tuple(replace(good, path=name, start=0, end=len(patch)) for name in names[:1]))


HOSTILE = {**MALFORMED, **REFUSED, **{f"path {path[:40]!r}": added(path) for path in PATHS}}


async def test_named_patches_change_nothing(host: PatchHost) -> None:
    """Each is refused; and where it is believed all the same, git and the placing keep it inside of the tree."""
    assert len(HOSTILE) >= 80
    for number, (name, text) in enumerate(HOSTILE.items()):
        patch = text.encode()
        with pytest.raises(Denied):
            judge(patch)
        verdict = believe(patch)
        if any(b".." in file.path or file.path.startswith(b"/") for file in verdict.files):
            continue  # not even the believing ones ask for those
        try:
            await host.apply(patch, verdict, number=number)
        except (BangerError, OSError):
            host.check_untouched(tree_too=True)
        except AssertionError as error:
            raise AssertionError(name) from error


ESCAPES = {
    "through a link that is there": added("up/x"),
    "through a link to a directory of the tree": added("link/x"),
    "onto a link that is there": added("up"),
    "onto an ignored file": added("ignored"),
    "below an ignored file": added("ignored/x"),
    "below a file": added("x/y"),
    "onto a directory": added("d"),
    "a file that is not there": modified("gone"),
    "a file through a link": modified("link/y", "@@ -1,3 +1,3 @@\n 1\n-2\n+two\n 3\n"),
    "other content than is there": modified("x", "@@ -1 +1 @@\n-z\n+b\n"),
    "a bare repository that is begun": added("bare/HEAD", "ref: refs/heads/main\n")
    + added("bare/objects/x")
    + added("bare/refs/x"),
    "a bare repository in other letters": added("bare/head", "ref: refs/heads/main\n")
    + added("bare/OBJECTS/x")
    + added("bare/Refs/x"),
    "a repository elsewhere": added("bare/HEAD", "ref: refs/heads/main\n") + added("bare/commondir", "../.git\n"),
}


@pytest.mark.parametrize("name", ESCAPES)
async def test_patches_that_do_not_fit_what_is_there(host: PatchHost, name: str) -> None:
    patch = ESCAPES[name].encode()
    with pytest.raises(BangerError):
        await host.apply(patch, judge(patch))
    host.check_untouched(tree_too=True)


async def test_a_repository_that_is_completed_in_two_patches(host: PatchHost) -> None:
    (host.tree / "bare" / "objects").mkdir(parents=True)
    (host.tree / "bare" / "refs").mkdir()
    patch = added("bare/HEAD", "ref: refs/heads/main\n").encode()
    with pytest.raises(Denied, match="git repository inside"):
        await host.apply(patch, judge(patch))


async def test_settings_of_a_repository_that_lies_in_the_tree(host: PatchHost) -> None:
    bare = host.tree / "bare"
    for directory in ("objects", "refs"):
        (bare / directory).mkdir(parents=True)
    (bare / "HEAD").write_text("ref: refs/heads/main\n")
    patch = added("bare/config", "[core]\n\tfsmonitor = touch /tmp/x\n").encode()
    with pytest.raises(Denied, match="git repository inside"):
        await host.apply(patch, judge(patch))


async def test_attributes_of_a_patch_start_none_of_the_users_filters(host: PatchHost) -> None:
    patch = (
        added(".gitattributes", "* filter=trap diff=trap text=auto ident\n") + modified("x") + added("z", "$Id$\n")
    ).encode()
    await host.apply(patch, judge(patch))
    assert host.applied == 1


def stays_inside(path: bytes) -> bool:
    """Said again by somebody else: no component of it is anything special anywhere."""
    normal = posixpath.normpath(path)
    plain = path.lower().replace(b"\\", b"/").split(b"/")
    special = any(part.rstrip(b". ").split(b":")[0] in (b".git", b".gitmodules", b"git~1") for part in plain)
    return normal == path and not path.startswith(b"/") and b".." not in plain and not special


async def test_ten_thousand_patches_at_random(host: PatchHost) -> None:
    """Whatever is accepted: git reads the same files in it as we do, and of some hundred each is really applied."""
    maker_ids = host.ids()
    accepted = applied = 0
    for number in range(COUNT):
        patch = PatchMaker(SEED * 1_000_003 + number, maker_ids).make()
        try:
            verdict = judge(patch)
        except Denied:
            continue
        if not verdict.files:
            continue
        accepted += 1
        case = (SEED * 1_000_003 + number, patch)
        assert all(stays_inside(file.path) for file in verdict.files), case
        listed = subprocess.run(
            ["git", "apply", "--numstat", "-z", "-"], input=patch, capture_output=True, cwd="/", check=False
        )
        if listed.returncode:
            continue  # git refuses more than we do
        names = [record.split(b"\t", 2)[2] for record in listed.stdout.split(b"\0")[:-1]]
        assert names == [file.path for file in verdict.files], case
        if applied == APPLIED:
            continue
        try:
            await host.apply(patch, verdict, number=number)
            applied += 1
        except BangerError:
            host.check_untouched(tree_too=True)
        except AssertionError as error:
            raise AssertionError(case) from error
    print(f"{COUNT} patches, {accepted} accepted, {host.applied} applied")  # noqa: T201
    assert accepted > COUNT // 50
    assert host.applied > min(APPLIED, accepted) // 3


async def test_directories_that_become_links_in_between(host: PatchHost) -> None:
    """Somebody swaps a directory for a link out of the tree, over and over, while files are placed and taken back."""
    outside = host.root / "around" / "outside"
    before = see(outside)
    tree, aside = host.tree / "d", host.root / "around" / "aside"
    over = threading.Event()
    swaps = 0

    def swap() -> None:
        nonlocal swaps
        while not over.is_set():
            with suppress(OSError):
                tree.rename(aside)
                tree.symlink_to("../outside")
                swaps += 1
                tree.unlink()
                aside.rename(tree)

    work = host.root / "work"
    swapper = threading.Thread(target=swap)
    swapper.start()
    try:
        for number in range(150):
            directory = work / str(number)
            (directory / "new" / "d" / "deep" / "er").mkdir(parents=True)
            for name in ("d/y", "d/new", "d/deep/er/file"):
                (directory / "new" / name).write_text("guest's\n")
            with WorkTree(host.tree) as seen:
                files = [
                    PlacedFile(path, "100644", found.stamp if (found := seen.look(path)) else None)
                    for path in (b"d/y", b"d/new", b"d/deep/er/file")
                ]
            placing = Placing(directory, host.tree, files, umask=0o022)
            with suppress(OSError, BangerError):
                placing.record()
                placing.write()
            with suppress(OSError):
                placing.restore()
            assert see(outside) == before, number
    finally:
        over.set()
        swapper.join()
    assert swaps > 10
