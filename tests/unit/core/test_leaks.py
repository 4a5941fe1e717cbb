from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from banger.core.allocated import allocated_bytes
from banger.core.content_store import ContentStore, make_locked_directory
from banger.core.layout import Layout
from banger.core.leaks import PATIENCE_S, Aged, Leak, Sighting, find_leaks, find_unfinished_files, look_around
from banger.core.locks import try_lock
from banger.core.vm import State

ID = "0b5c1d6e-7a42-4c8e-9a55-3f1f9be4c001"
SEEN = Sighting(
    processes=((7, ID),),
    run_directories=(f"/r/vms/{ID}",),
    state_directories=(f"/s/vms/{ID}",),
    trash=(f"/s/trash/{ID}.0a1b2c3d",),
)


@pytest.mark.parametrize(
    ("state", "kinds"),
    [
        (None, ["process", "run_directory", "state_directory", "trash"]),
        (State.CREATING, ["process", "run_directory"]),
        (State.STOPPED, ["process", "run_directory", "trash"]),
        (State.STARTING, []),
        (State.RUNNING, ["trash"]),
        (State.PAUSED, ["trash"]),
        (State.STOPPING, []),
        (State.DELETING, []),
    ],
)
def test_what_a_vm_may_have_in_each_state(state: State | None, kinds: list[str]) -> None:
    leaks = find_leaks(SEEN, {} if state is None else {ID: state})
    assert [leak.kind for leak in leaks] == kinds
    assert all(leak.why for leak in leaks)


def test_what_is_still_written_is_no_leak() -> None:
    seen = Sighting(scratch=(Aged("/r/scratch/a", 5.0),), partial_files=(Aged("/s/.x.01234567", 5.0),))
    assert find_leaks(seen, {}) == ()
    assert [leak.kind for leak in find_leaks(seen, {}, patience_s=5.0)] == ["scratch", "partial_file"]


def test_nothing_is_nothing(tmp_path: Path) -> None:
    layout = Layout(config=tmp_path / "c", state=tmp_path / "s", cache=tmp_path / "k", run=tmp_path / "r")
    assert look_around(layout, now_s=0, builds=tmp_path / "b") == Sighting()
    assert find_leaks(Sighting(), {ID: State.STOPPED}) == ()


def test_everything_is_seen(tmp_path: Path) -> None:
    layout = Layout(config=tmp_path / "c", state=tmp_path / "s", cache=tmp_path / "k", run=tmp_path / "r")
    files = layout.vm(ID)
    for path in (
        files.state,
        files.run,
        layout.trash / "t",
        layout.run / "scratch" / "x",
        layout.images / "drafts" / "d",
    ):
        path.mkdir(parents=True)
    (files.state / ".data.ext4.draft").touch()
    build = tmp_path / "b" / f"banger-image-{os.getuid()}-0123456789abcdef"
    (tmp_path / "b" / f"banger-image-{os.getuid() + 1}-0123456789abcdef").mkdir(parents=True)
    build.mkdir()
    (layout.state / ".id_ed25519.0123abcd").touch()
    (layout.state / "banger.db").touch()
    with socket.socket(socket.AF_UNIX) as stray, socket.socket(socket.AF_UNIX) as daemon:
        stray.bind(os.fspath(layout.run / "x.sock"))
        daemon.bind(os.fspath(layout.daemon_socket))
    process = subprocess.Popen([sys.executable, "-c", "input()", f"banger-{ID}"], cwd=files.run, stdin=subprocess.PIPE)
    builder = subprocess.Popen([sys.executable, "-c", "input()", "mmdebstrap"], cwd=build, stdin=subprocess.PIPE)
    try:
        with ContentStore(layout.kernels, kind="kernel", native="x86_64").draft():  # somebody is at it
            make_locked_directory(tmp_path / "b", prefix=f"banger-image-{os.getuid()}-")  # here too
            seen = look_around(layout, now_s=0, builds=tmp_path / "b")
            leaks = find_leaks(seen, {}, patience_s=-(10**12))
    finally:
        process.communicate(b"\n")
        builder.communicate(b"\n")
    assert [(leak.kind, leak.what.removeprefix(f"{tmp_path}/")) for leak in leaks] == [
        ("process", f"process {process.pid} of the VM {ID}"),
        ("run_directory", f"r/vms/{ID}"),
        ("state_directory", f"s/vms/{ID}"),
        ("trash", "s/trash/t"),
        ("scratch", "r/scratch/x"),
        ("draft", "k/images/drafts/d"),
        ("build", os.fspath(build.relative_to(tmp_path))),
        ("process", f"process {builder.pid} that builds in {build}"),
        ("socket", "r/x.sock"),
        ("partial_file", "s/.id_ed25519.0123abcd"),
        ("partial_file", f"s/vms/{ID}/.data.ext4.draft"),
    ]
    assert Leak("draft", "a", "b") != Leak("trash", "a", "b")


def test_a_file_is_unfinished_when_it_is_old_and_nobody_writes_it(tmp_path: Path) -> None:
    layout = Layout(config=tmp_path / "c", state=tmp_path / "s", cache=tmp_path / "k", run=tmp_path / "r")
    for directory in (layout.config, layout.state, layout.bases):
        directory.mkdir(parents=True)
        for name in (".a.01234567", ".b.01234567", "c.01234567"):
            (directory / name).touch()
    with (layout.bases / ".b.01234567").open() as written:
        assert try_lock(written.fileno())
        now_s = (layout.bases / ".a.01234567").stat().st_mtime
        assert find_unfinished_files(layout, now_s=now_s + PATIENCE_S / 2) == []
        left = find_unfinished_files(layout, now_s=now_s + PATIENCE_S * 2)
    names = [str(path.relative_to(tmp_path)) for path in left]
    assert names == ["s/.a.01234567", "s/.b.01234567", "k/initramfs/.a.01234567"]


def test_allocated_bytes_are_not_sizes(tmp_path: Path) -> None:
    sparse = tmp_path / "sparse"
    with sparse.open("wb") as file:
        file.truncate(1 << 30)
    assert allocated_bytes([sparse]) < 1 << 20
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "full").write_bytes(os.urandom(1 << 20))
    (tmp_path / "link").symlink_to("/usr")
    assert 1 << 20 <= allocated_bytes([tmp_path]) < 2 << 20
    assert allocated_bytes([tmp_path / "missing"]) == 0
