"""Killed builds of images: the directories they left, and the processes that outlived whoever started them."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from banger.core.census import find_processes
from banger.core.layout import BUILDS, build_prefix
from banger.core.locks import is_locked
from banger.core.processes import ProcessIdentity

BUILD_PROGRAM: Final = "mmdebstrap"


def find_abandoned_builds(place: Path = BUILDS) -> list[Path]:
    """Build directories of this user in `place` that nobody has locked."""
    uid = os.getuid()
    found = []
    for path in sorted(place.glob(f"{build_prefix(uid)}*")):
        with suppress(FileNotFoundError):
            if path.stat(follow_symlinks=False).st_uid == uid and not is_locked(path):
                found.append(path)
    return found


def find_builders(directory: Path) -> list[ProcessIdentity]:
    """The build processes that work in a directory."""
    return find_processes(directory, label=BUILD_PROGRAM)
