"""Data disks: sparse ext4 made once per size, copied for each VM, never looked at again by the host."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import secrets
from pathlib import Path
from typing import Final

from banger.core.errors import Failed, Unavailable
from banger.core.files import make_private_directory
from banger.core.processes import run
from banger.core.sizes import format_size

_FICLONE: Final = 0x40049409  # linux/fs.h


async def ensure_data_disk(path: Path, *, size_bytes: int, templates: Path) -> None:
    """Make an empty data disk at `path`, replacing a half-made one. Raises `Unavailable` when there is no space."""
    template = await _ensure_template(templates, size_bytes)
    path.unlink(missing_ok=True)
    try:
        await asyncio.to_thread(copy_sparse, template, path)
    except OSError as error:
        path.unlink(missing_ok=True)
        if error.errno == errno.ENOSPC:
            raise Unavailable("there is no space left for the VM's disk", hint="delete VMs or images") from error
        raise


async def _ensure_template(templates: Path, size_bytes: int) -> Path:
    template = templates / f"data-{size_bytes}.ext4"
    if template.exists():
        return template
    make_private_directory(templates)
    draft = templates / f".{template.name}.{secrets.token_hex(4)}"
    try:
        with draft.open("xb") as file:
            file.truncate(size_bytes)
        # Without root, without a mount; the guest grows the lazy parts when it has nothing else to do.
        options = "lazy_itable_init=1,lazy_journal_init=1,root_owner=0:0,nodiscard"
        argv = ["mke2fs", "-q", "-F", "-t", "ext4", "-m", "0", "-L", "banger-data", "-E", options, os.fspath(draft)]
        await run(argv, hint="install the package e2fsprogs")
        draft.rename(template)
    except OSError as error:
        if error.errno == errno.EFBIG:
            raise Failed(f"the file system here cannot hold a file of {format_size(size_bytes)}") from error
        raise
    finally:
        draft.unlink(missing_ok=True)
    return template


def copy_sparse(source: Path, target: Path) -> None:
    """Copy a file by reference where the file system can, else only the parts that hold data (lseek(2))."""
    with source.open("rb") as reading, target.open("xb") as writing:
        try:
            fcntl.ioctl(writing.fileno(), _FICLONE, reading.fileno())
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.ENOTTY, errno.EINVAL, errno.EXDEV, errno.ENOSYS):
                raise
        else:
            return
        size = os.fstat(reading.fileno()).st_size
        os.truncate(writing.fileno(), size)
        position = 0
        while position < size:
            try:
                start = os.lseek(reading.fileno(), position, os.SEEK_DATA)
            except OSError as error:
                if error.errno == errno.ENXIO:
                    return
                raise
            position = os.lseek(reading.fileno(), start, os.SEEK_HOLE)
            os.lseek(writing.fileno(), start, os.SEEK_SET)
            os.lseek(reading.fileno(), start, os.SEEK_SET)
            while start < position:
                copied = os.sendfile(writing.fileno(), reading.fileno(), start, position - start)
                if copied == 0:
                    return
                start += copied
