"""Data disks: sparse ext4 made once per size, copied for each VM, never looked at again by the host."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from banger.core.errors import Unavailable
from banger.core.files import make_private_directory, sync_directory
from banger.core.finishing import finish
from banger.core.locks import exclusive_lock, try_lock
from banger.core.processes import CommandFailed, run
from banger.core.sizes import format_size
from banger.core.threads import run_in_thread
from banger.core.vm import check_disk_size

_FICLONE: Final = 0x40049409  # linux/fs.h
_PIECE_BYTES: Final = 16 << 20
_MAKE_DEADLINE_S: Final = 120.0
# The file is all holes, so there is nothing to zero: neither here nor, later and slowly, in the guest. mke2fs before
# 1.47 does not know the option; there the guest zeroes the inode tables when it has nothing else to do.
_PREZEROED: Final = "assume_storage_prezeroed=1"
_OPTIONS: Final = ("lazy_itable_init=1", "lazy_journal_init=1", "root_owner=0:0", "nodiscard")


async def ensure_data_disk(path: Path, *, size_bytes: int, templates: Path) -> None:
    """Make an empty data disk at `path`, replacing what is there. The name appears when it is complete and durable.

    Raises `Invalid` for an absurd size and `Unavailable` when there is no space.
    """
    check_disk_size(size_bytes)
    await copy_data_disk(await _ensure_template(templates, size_bytes), path)


async def copy_data_disk(source: Path, path: Path) -> None:
    """Copy a data disk to `path`, replacing what is there. The name appears when it is complete and durable.

    The disk may have been written by a guest: its bytes are copied without being interpreted. Raises
    `Unavailable` when there is no space.
    """
    draft = path.with_name(f".{path.name}.draft")

    def copy(check: Callable[[], None]) -> None:
        draft.unlink(missing_ok=True)
        try:
            copy_sparse(source, draft, check=check)
            draft.rename(path)
            sync_directory(path.parent)
        except BaseException as error:
            draft.unlink(missing_ok=True)
            if isinstance(error, OSError):
                raise _explain(error, source.stat().st_size) from error
            raise

    await run_in_thread(copy)


def plan_mke2fs(draft: Path, *, prezeroed: bool) -> list[str]:
    """The argument vector of mke2fs(8): no blocks reserved for root, who owns the file system."""
    options = (*_OPTIONS, _PREZEROED) if prezeroed else _OPTIONS
    return [
        *("mke2fs", "-q", "-F", "-t", "ext4", "-b", "4096", "-m", "0", "-L", "banger-data"),
        *("-E", ",".join(options), os.fspath(draft)),
    ]


async def _ensure_template(templates: Path, size_bytes: int) -> Path:
    template = templates / f"data-{size_bytes}.ext4"
    if template.exists():
        return template
    make_private_directory(templates)
    async with exclusive_lock(templates / "lock", deadline_s=2 * _MAKE_DEADLINE_S):
        if not template.exists():
            await _make_template(template, size_bytes)
    return template


async def _make_template(template: Path, size_bytes: int) -> None:
    draft = template.with_name(f".{template.name}.draft")
    try:
        for prezeroed in (True, False):
            draft.unlink(missing_ok=True)
            descriptor = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                try_lock(descriptor)  # somebody is at it, should anybody ask
                os.truncate(descriptor, size_bytes)
                try:
                    await run(
                        plan_mke2fs(draft, prezeroed=prezeroed),
                        timeout_s=_MAKE_DEADLINE_S,
                        hint="install the package e2fsprogs, and see that there is space left",
                    )
                except CommandFailed:
                    if prezeroed:
                        continue
                    raise
                await finish(asyncio.to_thread(os.fsync, descriptor))
            finally:
                os.close(descriptor)
            draft.rename(template)
            await finish(asyncio.to_thread(sync_directory, template.parent))
            return
    except OSError as error:
        raise _explain(error, size_bytes) from error
    finally:
        draft.unlink(missing_ok=True)


def copy_sparse(source: Path, target: Path, *, check: Callable[[], None] = lambda: None) -> None:
    """Copy a file to a new one: by reference if the file system can, else without its holes (lseek(2)).

    The copy is durable when this returns.
    """
    with source.open("rb") as reading:
        writing = os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            try_lock(writing)
            if not _clone(reading.fileno(), writing):
                _copy_data(reading.fileno(), writing, check)
            os.fsync(writing)
        finally:
            os.close(writing)


def _clone(source: int, target: int) -> bool:
    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError as error:
        if error.errno in (errno.EOPNOTSUPP, errno.ENOTTY, errno.EINVAL, errno.EXDEV, errno.ENOSYS, errno.EPERM):
            return False
        raise
    return True


def _copy_data(source: int, target: int, check: Callable[[], None]) -> None:
    size = os.fstat(source).st_size
    os.truncate(target, size)
    end = 0
    while end < size:
        try:
            start = os.lseek(source, end, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # nothing but a hole up to the end
                return
            raise
        end = os.lseek(source, start, os.SEEK_HOLE)
        os.lseek(target, start, os.SEEK_SET)
        while start < end:
            check()
            copied = os.sendfile(target, source, start, min(end - start, _PIECE_BYTES))
            if copied == 0:
                raise OSError(errno.EIO, "the disk became shorter while it was copied")
            start += copied


def _explain(error: OSError, size_bytes: int) -> Exception:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Unavailable("there is no space left for the VM's disk", hint="delete VMs or images")
    if error.errno == errno.EFBIG:
        return Unavailable(
            f"the file system here cannot hold a file of {format_size(size_bytes)}",
            hint="give a smaller --disk, or set BANGER_HOME to another file system",
        )
    return error
