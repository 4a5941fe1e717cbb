"""Finding rpm's database, and the packages in it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import BinaryIO, Final, Protocol

from banger.core.errors import Unsupported
from banger.image.rpm.headers import parse_header
from banger.image.rpm.sqlite import Damaged, SqliteFile

_DIRECTORIES: Final = ("/usr/lib/sysimage/rpm", "/var/lib/rpm", "/usr/share/rpm")
_SQLITE: Final = "rpmdb.sqlite"
# What else rpm has had (its documentation of `_db_backend`).
_OTHERS: Final = {"Packages.db": "ndb", "Packages": "Berkeley DB"}
_PACKAGES_LIMIT: Final = 100_000


class Files(Protocol):
    """A root file system."""

    def open(self, path: str) -> BinaryIO | None:
        """The content of the regular file at `path`, symbolic links followed within the tree; None if there is none."""

    def read_start(self, path: str, size: int) -> bytes | None:
        """The first bytes of the file at `path`, symbolic links followed within the tree; None when there is none."""


def find_rpm_packages(tree: Files) -> list[tuple[str, str]] | None:
    """Names and versions; None where rpm keeps nothing. Raises `Unsupported` saying why they cannot be told.

    A row is in memory once, of at most 16 MiB; no more is read than the file has pages.
    """
    for directory in _DIRECTORIES:
        path = f"{directory}/{_SQLITE}"
        if (file := tree.open(path)) is not None:
            with file:
                if tree.read_start(f"{path}-wal", 1):
                    raise Unsupported(f"{path} has changes beside it that it was not closed with")
                try:
                    return list(_read(file))
                except Damaged as error:
                    raise Unsupported(f"{path} cannot be read: {error}") from error
                except Unsupported as error:
                    raise Unsupported(f"{path} is not read: {error.summary}") from error
        for name, backend in _OTHERS.items():
            if tree.read_start(f"{directory}/{name}", 1):
                raise Unsupported(
                    f"{directory}/{name} is a database of rpm's for {backend}, which banger does not read"
                )
    return None


def _read(file: BinaryIO) -> Iterator[tuple[str, str]]:
    size_bytes = file.seek(0, os.SEEK_END)
    file.seek(0)
    for count, row in enumerate(SqliteFile(file, size_bytes).rows("Packages"), start=1):
        blob = row[1] if len(row) == 2 else None
        if count > _PACKAGES_LIMIT or not isinstance(blob, bytes):
            raise Damaged("its rows are not packages")
        package = parse_header(blob)
        if package is not None:
            yield package
