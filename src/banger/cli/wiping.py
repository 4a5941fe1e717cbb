"""Removing a directory of ours with everything in it."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

from banger.core.errors import Denied, Failed
from banger.core.untrusted import printable


def remove_below(directory: Path) -> bool:
    """Remove a directory; whether it was there.

    One that is a symbolic link, because somebody moved it to another disk, is emptied there and the link removed. Links
    inside are removed and never followed. Raises `Denied` for what belongs to somebody else, `Failed`.
    """
    target = Path(os.path.realpath(directory))
    try:
        status = target.lstat()
    except FileNotFoundError:
        if not directory.is_symlink():
            return False
        directory.unlink()
        return True
    shown = printable(str(directory), limit=300)
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
        raise Denied(f"{shown} is not a directory of yours", hint="remove it yourself, if it is banger's")
    try:
        for entry in os.scandir(target):
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path)
            else:
                Path(entry.path).unlink()
        if directory.is_symlink():
            directory.unlink()
        else:
            target.rmdir()
    except OSError as error:
        raise Failed(f"{shown} cannot be removed whole: {error.strerror}", hint="run the command again") from error
    return True
