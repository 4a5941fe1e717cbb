"""`[[file_sync]]`: copy the files of the user's home that the configuration names into a guest that has just booted."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import AsyncIterable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Protocol

from banger.core.config.file_sync import DEFAULT_MODE, FileSync
from banger.core.errors import BangerError, Failed, Invalid, error_of_kind
from banger.core.sizes import MIB, format_size
from banger.core.untrusted import printable
from banger.daemon.context import Report
from banger.guest.host_files import list_host_files
from banger.guest.tree_pack import Directory, HostFile, PackEntry, iterate_in_thread, pack_files

log = logging.getLogger(__name__)

SIZE_LIMIT_BYTES: Final = 64 * MIB
ENTRY_LIMIT: Final = 10_000
WARNING_LIMIT: Final = 20
_STAGE: Final = "files"


class TreeReceiver(Protocol):
    """The part of a channel that is needed here."""

    async def put_tree(self, destination: bytes, tree: AsyncIterable[bytes]) -> None: ...


@dataclass(slots=True)
class Plan:
    """What is copied into which directories of the guest, and what is left out and why."""

    trees: dict[str, list[PackEntry]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    file_count: int = 0
    entry_count: int = 0
    size_bytes: int = 0


class SyncFiles:
    """Acts on what `core.config.file_sync` has checked. Reads below `home`, writes below `guest_home`."""

    def __init__(self, entries: Sequence[FileSync], *, home: Path, guest_home: str) -> None:
        self._entries = entries
        self._home = home
        self._guest_home = guest_home

    def guest_paths(self) -> tuple[str, ...]:
        """The absolute paths in a guest of what is copied."""
        return tuple(f"{self._guest_home}/{entry.guest}" for entry in self._entries)

    async def __call__(self, report: Report, receiver: TreeReceiver) -> None:
        """Copy all of them. Missing ones are reported and left out; anything else raises a `BangerError`."""
        if not self._entries:
            return
        plan = await asyncio.to_thread(plan_copies, self._entries, home=self._home, guest_home=self._guest_home)
        for warning in _shortened(plan.warnings):
            _notice(report, warning)
        if not plan.trees:
            return
        began_s = time.monotonic()
        what = f"{plan.file_count} file{'' if plan.file_count == 1 else 's'} of yours"
        report({"event": "stage", "stage": _STAGE, "text": f"copying {what}", "state": "begin"})
        for destination, entries in plan.trees.items():
            await self._copy(report, receiver, destination, entries)
        elapsed_s = time.monotonic() - began_s
        log.info("copied %s, %s, in %.3f s", what, format_size(plan.size_bytes), elapsed_s)
        text = f"copied {what}"
        report({"event": "stage", "stage": _STAGE, "text": text, "state": "end", "elapsed_s": elapsed_s})

    async def _copy(
        self, report: Report, receiver: TreeReceiver, destination: str, entries: Sequence[PackEntry]
    ) -> None:
        loop = asyncio.get_running_loop()

        def changed(path: bytes, what: str) -> None:
            text = f"file_sync: {printable(path, limit=200)} {what}: it changed while it was copied"
            loop.call_soon_threadsafe(_notice, report, text)

        try:
            async with aclosing(iterate_in_thread(pack_files(entries, report=changed))) as tree:
                await receiver.put_tree(os.fsencode(destination), tree)
        except BangerError as error:
            summary = f"file_sync: files cannot be copied to {printable(destination, limit=200)}: {error.summary}"
            hint = error.hint or "look at that place in the guest, or take the entry out of the configuration file"
            raise error_of_kind(error.kind, summary, hint=hint) from error


def _notice(report: Report, text: str) -> None:
    report({"event": "notice", "text": text})


def plan_copies(entries: Sequence[FileSync], *, home: Path, guest_home: str) -> Plan:
    """Find the files. Raises `Failed` if one cannot be read, `Invalid` for more than a start may copy."""
    plan = Plan()

    def skipped(name: bytes, what: str) -> None:
        plan.warnings.append(f"file_sync: ~/{printable(name, limit=200)} {what}: it is not copied")

    for entry in entries:
        parent, _, base = entry.guest.rpartition("/")
        destination = f"{guest_home}/{parent}".rstrip("/")
        try:
            for found, size_bytes in list_host_files(
                home, os.fsencode(entry.host), at=os.fsencode(base), skipped=skipped
            ):
                if entry.mode is not None and isinstance(found, Directory) and found.path == os.fsencode(base):
                    plan.warnings.append(f"file_sync: {entry.shown_host} is a directory: its files keep their modes")
                plan.entry_count += 1
                plan.file_count += isinstance(found, HostFile)
                plan.size_bytes += size_bytes
                _check_limits(plan, entry)
                plan.trees.setdefault(destination, []).append(_with_mode(found, entry, base))
        except FileNotFoundError:
            skipped(os.fsencode(entry.host), "is not there")
        except NotADirectoryError:
            skipped(os.fsencode(entry.host), "is behind a symbolic link, or a file")
        except OSError as error:
            raise Failed(
                f"file_sync: {printable(entry.shown_host, limit=200)} cannot be read: {error.strerror}",
                hint="fix its permissions, or take it out of the configuration file",
            ) from error
    return plan


def _with_mode(found: PackEntry, entry: FileSync, base: str) -> PackEntry:
    """A file that is an entry itself has the entry's mode; one in a directory keeps its own."""
    if isinstance(found, HostFile) and found.path == os.fsencode(base):
        return replace(found, mode=DEFAULT_MODE if entry.mode is None else entry.mode)
    return found


def _check_limits(plan: Plan, entry: FileSync) -> None:
    hint = "name less in the configuration file; `banger vm cp` copies more once the VM runs"
    if plan.size_bytes > SIZE_LIMIT_BYTES:
        limit = format_size(SIZE_LIMIT_BYTES)
        raise Invalid(
            f"file_sync: with {printable(entry.shown_host, limit=200)} it is more than {limit} in all", hint=hint
        )
    if plan.entry_count > ENTRY_LIMIT:
        raise Invalid(
            f"file_sync: with {printable(entry.shown_host, limit=200)} it is more than {ENTRY_LIMIT} files in all",
            hint=hint,
        )


def _shortened(warnings: Sequence[str]) -> Iterator[str]:
    yield from warnings[:WARNING_LIMIT]
    if len(warnings) > WARNING_LIMIT:
        yield f"file_sync: {len(warnings) - WARNING_LIMIT} more are not copied"
