"""Whose fault it is that an archive does not become an image."""

from __future__ import annotations

import errno
import os
from typing import cast

import pytest

from banger.core.config.defaults import Defaults
from banger.core.errors import NotFound
from banger.daemon.collaborators import Images, Kernels
from banger.daemon.context import Request
from banger.daemon.operations.images import ImageVerbs
from banger.daemon.operations.room import CheckRoom
from banger.daemon.operations.stored import Users


class FailingImages:
    """Has nothing, and fails to make anything."""

    def __init__(self, error: OSError) -> None:
        self._error = error

    def find(self, _name: str, _architecture: str | None = None) -> None: ...

    async def import_path(self, *_: object, **__: object) -> None:
        raise self._error


async def import_failing(error: OSError) -> None:
    unused = cast("Users", None)
    verbs = ImageVerbs(
        images=cast("Images", FailingImages(error)),
        kernels=cast("Kernels", None),
        defaults=cast("Defaults", None),
        users=unused,
        check_room=cast("CheckRoom", None),
    )
    request = Request("op", lambda _event: None)
    await verbs.import_path(request, {"name": "x", "path": "/a//archive", "tag": None})


async def test_an_archive_that_cannot_be_read_is_told_as_that() -> None:
    with pytest.raises(NotFound, match="archive cannot be read"):
        await import_failing(OSError(errno.EACCES, os.strerror(errno.EACCES), "/a/archive"))


async def test_a_full_disk_is_not_told_as_an_archive_that_cannot_be_read() -> None:
    with pytest.raises(OSError, match="No space left"):
        await import_failing(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
