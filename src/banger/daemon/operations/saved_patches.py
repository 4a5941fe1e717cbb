"""Patches saved for `apply`, as files: complete, judged whenever they are read, and kept for a limited time."""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

from banger.core.errors import BangerError, NotFound
from banger.core.files import make_private_directory, sync_directory, write_durably
from banger.core.strict import parse_object, read_dataclass
from banger.workspace.applying import SavedPatch
from banger.workspace.verdict import judge_file

log = logging.getLogger(__name__)

KEPT_PATCHES: Final = 100
KEPT_BYTES: Final = 1 << 30
EARLIER_PATCHES: Final = 10
EARLIER_LIMIT_BYTES: Final = 64 << 20
_NAME: Final = re.compile(r"[a-z0-9-]{1,120}\.patch")


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Which workspace a patch is from, since which commit, and whether it was applied."""

    vm: str
    guest_path: str
    base: str
    applied: bool


def name_patch(vm: str, operation: str, *, now_s: float) -> str:
    """The name of a saved patch: VM, time and operation."""
    when = time.strftime("%Y%m%dt%H%M%Sz", time.gmtime(now_s))
    return f"{vm}-{when}-{operation.removeprefix('op-')}.patch"


class SavedPatches:
    """The patches in a directory, each with its origin beside it. Every method blocks."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def path(self, name: str) -> Path:
        return self._directory / name

    def save(self, name: str, source: Path, origin: Origin) -> None:
        """Copy durably; the name appears when the copy is complete. The oldest patches are removed."""
        make_private_directory(self._directory)
        target = self.path(name)
        draft = target.with_name(f".{name}.draft")
        try:
            with source.open("rb") as old, draft.open("xb") as new:
                shutil.copyfileobj(old, new)
                new.flush()
                os.fsync(new.fileno())
            self._write_origin(name, origin)
            draft.rename(target)
        finally:
            draft.unlink(missing_ok=True)
        sync_directory(self._directory)
        self._prune()

    def mark_applied(self, name: str) -> None:
        """Remember that a patch was applied."""
        origin = self._read_origin(name)
        if origin is not None:
            self._write_origin(name, replace(origin, applied=True))

    def read(self, name: str) -> SavedPatch:
        """Read and judge one patch. Raises `NotFound`, `Denied`."""
        path = self.path(name)
        if _NAME.fullmatch(name) is None or not path.is_file():
            raise NotFound(f"there is no saved patch {ascii(name)[:100]}", hint="run `banger vm workspace apply` again")
        return SavedPatch(path, judge_file(path))

    def read_earlier(self, name: str) -> list[SavedPatch]:
        """The patches that were applied before one, of the same workspace since the same commit, the newest first."""
        origin = self._read_origin(name)
        found: list[SavedPatch] = []
        left_bytes = EARLIER_LIMIT_BYTES
        if origin is None:
            return found
        for path in self._newest_first():
            if path.name == name or self._read_origin(path.name) != replace(origin, applied=True):
                continue
            try:
                left_bytes -= path.stat().st_size
                if left_bytes < 0 or len(found) == EARLIER_PATCHES:
                    break
                found.append(self.read(path.name))
            except (BangerError, OSError) as error:
                log.warning("%s cannot be read any more: %r", path, error)
        return found

    def _origin_path(self, name: str) -> Path:
        return self.path(name).with_suffix(".json")

    def _write_origin(self, name: str, origin: Origin) -> None:
        write_durably(self._origin_path(name), json.dumps(asdict(origin)).encode())

    def _read_origin(self, name: str) -> Origin | None:
        try:
            return read_dataclass(Origin, parse_object(self._origin_path(name).read_text()))
        except (OSError, ValueError):
            return None

    def _prune(self) -> None:
        kept = kept_bytes = 0
        for path in self._newest_first():
            with suppress(OSError):
                kept += 1
                kept_bytes += path.stat().st_size
                if kept > KEPT_PATCHES or (kept_bytes > KEPT_BYTES and kept > 1):
                    path.unlink()
                    self._origin_path(path.name).unlink(missing_ok=True)

    def _newest_first(self) -> list[Path]:
        with suppress(OSError):
            found = [(p.stat().st_mtime_ns, p) for p in self._directory.iterdir() if _NAME.fullmatch(p.name)]
            return [path for _, path in sorted(found, reverse=True)]
        return []
