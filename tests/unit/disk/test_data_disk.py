"""Data disks: real mke2fs, no root."""

from __future__ import annotations

import asyncio
import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from banger.core.errors import Invalid, Unavailable
from banger.core.sizes import GIB, MIB
from banger.disk.data import copy_sparse, ensure_data_disk, plan_mke2fs
from banger.disk.space import FLOOR_BYTES, check_free_space, judge_free_space, read_free_bytes

needs_mke2fs = pytest.mark.skipif(shutil.which("mke2fs") is None, reason="e2fsprogs is not installed")


def test_the_argument_vector() -> None:
    assert plan_mke2fs(Path("/draft"), prezeroed=True) == [
        *("mke2fs", "-q", "-F", "-t", "ext4", "-b", "4096", "-m", "0", "-L", "banger-data", "-E"),
        "lazy_itable_init=1,lazy_journal_init=1,root_owner=0:0,nodiscard,assume_storage_prezeroed=1",
        "/draft",
    ]
    assert "prezeroed" not in " ".join(plan_mke2fs(Path("/draft"), prezeroed=False))


@needs_mke2fs
@pytest.mark.parametrize("size_bytes", [64 * MIB, 8 * GIB, 100 * MIB + 512])
async def test_a_data_disk_is_a_sound_sparse_private_ext4(tmp_path: Path, size_bytes: int) -> None:
    disk = tmp_path / "vm" / "data.ext4"
    disk.parent.mkdir()
    await ensure_data_disk(disk, size_bytes=size_bytes, templates=tmp_path / "templates")
    status = disk.stat()
    assert status.st_size == size_bytes
    assert status.st_blocks * 512 < 16 * MIB
    assert stat.S_IMODE(status.st_mode) == 0o600
    checked = subprocess.run(["e2fsck", "-f", "-n", disk], capture_output=True, check=False)
    assert checked.returncode == 0, checked.stdout
    shown = subprocess.run(["dumpe2fs", "-h", disk], capture_output=True, check=True).stdout.decode()
    assert "banger-data" in shown
    assert [path.name for path in disk.parent.iterdir()] == ["data.ext4"]


@needs_mke2fs
async def test_many_at_once_make_the_template_once(tmp_path: Path) -> None:
    templates = tmp_path / "templates"
    disks = [tmp_path / f"{number}.ext4" for number in range(6)]
    await asyncio.gather(*(ensure_data_disk(disk, size_bytes=64 * MIB, templates=templates) for disk in disks))
    assert sorted(path.name for path in templates.iterdir()) == [f"data-{64 * MIB}.ext4", "lock"]
    # mke2fs gives each file system a uuid of its own, so equal bytes come from one run of it.
    assert len({disk.read_bytes() for disk in disks}) == 1


@needs_mke2fs
async def test_a_half_made_disk_and_its_draft_are_replaced(tmp_path: Path) -> None:
    disk = tmp_path / "data.ext4"
    disk.write_bytes(b"half")
    (tmp_path / ".data.ext4.draft").write_bytes(b"draft")
    await ensure_data_disk(disk, size_bytes=64 * MIB, templates=tmp_path / "templates")
    assert disk.stat().st_size == 64 * MIB
    assert not (tmp_path / ".data.ext4.draft").exists()


@needs_mke2fs
async def test_a_draft_that_a_crash_left_is_no_template(tmp_path: Path) -> None:
    templates = tmp_path / "templates"
    templates.mkdir()
    (templates / f".data-{64 * MIB}.ext4.draft").write_bytes(b"half")
    await ensure_data_disk(tmp_path / "disk", size_bytes=64 * MIB, templates=templates)
    assert subprocess.run(["e2fsck", "-fn", tmp_path / "disk"], capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize("size_bytes", [0, -1, 1 * MIB, 1 << 60])
async def test_absurd_sizes_are_refused_before_anything_exists(tmp_path: Path, size_bytes: int) -> None:
    with pytest.raises(Invalid):
        await ensure_data_disk(tmp_path / "disk", size_bytes=size_bytes, templates=tmp_path / "templates")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("layout", [[], [(0, 5000)], [(1 << 20, 1)], [(0, 1), (3 << 20, 70_000)]])
def test_a_sparse_copy_is_equal_and_keeps_holes(tmp_path: Path, layout: list[tuple[int, int]]) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    with source.open("xb") as file:
        file.truncate(4 << 20)
        for offset, length in layout:
            file.seek(offset)
            file.write(os.urandom(length))
    copy_sparse(source, target)
    assert target.read_bytes() == source.read_bytes()
    assert target.stat().st_blocks <= source.stat().st_blocks + 16


def test_a_copy_never_overwrites(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"new")
    (tmp_path / "target").write_bytes(b"old")
    with pytest.raises(FileExistsError):
        copy_sparse(tmp_path / "source", tmp_path / "target")
    assert (tmp_path / "target").read_bytes() == b"old"


def test_the_floor_of_free_space() -> None:
    judge_free_space(FLOOR_BYTES)
    judge_free_space(FLOOR_BYTES + 5, needed_bytes=5)
    with pytest.raises(Unavailable, match="are free"):
        judge_free_space(FLOOR_BYTES - 1)
    with pytest.raises(Unavailable):
        judge_free_space(FLOOR_BYTES, needed_bytes=1)


def test_space_is_asked_where_a_directory_will_be(tmp_path: Path) -> None:
    assert read_free_bytes(tmp_path / "not" / "there" / "yet") > 0
    with pytest.raises(Unavailable):
        check_free_space(tmp_path / "not" / "there", needed_bytes=1 << 70)
