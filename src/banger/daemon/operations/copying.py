"""`vm cp`: copy files and trees into a guest or out of it, whole or not at all."""

from __future__ import annotations

import asyncio
import os
import posixpath
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import Final, Literal

from banger.api.messages import CopyRequest, CopyResult
from banger.core.errors import AlreadyExists, BangerError, Invalid, NotFound, Unavailable
from banger.core.finishing import finish
from banger.core.sizes import format_size
from banger.core.untrusted import printable
from banger.daemon.context import Request
from banger.daemon.journal import Journal, Step, nothing, write_nothing
from banger.daemon.operations.commands import default_directory
from banger.daemon.supervisor import Supervisor
from banger.disk.space import FLOOR_BYTES, free_bytes_of
from banger.guest.channel import Channel, Place
from banger.guest.host_place import (
    check_name,
    check_vacant,
    finish_replacing,
    open_directory,
    partial_name,
    place,
    remove_entry,
)
from banger.guest.host_tree import HostTree
from banger.guest.host_walk import walk_host
from banger.guest.tree_pack import Directory, PackEntry, iterate_in_thread, pack_files
from banger.guest.tree_stream import TreeCount, TreeCounter, TreeDecoder, TreeRecord
from banger.store.records import OpenOperation, VmRecord
from banger.workspace.paths import spelled

KIND: Final = "cp"
PROGRESS_STEP_BYTES: Final = 4 << 20
NOTICES_LIMIT: Final = 10

Transfer = Callable[[], Awaitable[None]]
Found = Literal["file", "directory", "empty directory", "nothing"]


class CopyFiles:
    """The operation `cp`. Rolls back: until its tree is complete the destination is as it was."""

    kind: Final = KIND

    def __init__(self, *, journal: Journal, supervisor: Supervisor) -> None:
        self._journal = journal
        self._supervisor = supervisor

    async def __call__(self, request: Request, record: VmRecord, asked: CopyRequest) -> CopyResult:
        """Copy, and return when the copy is complete."""
        channel = self._supervisor.channel(record.id, record.name)
        guest_path = posixpath.join(default_directory(record), check_guest_path(asked["guest_path"]))
        copy = self._copy_out if asked["direction"] == "out" else self._copy_in
        try:
            return await copy(request, record, channel, asked, guest_path)
        except BangerError as error:
            error.hint = error.hint or f"`banger vm exec {record.name} -- ls -l` shows what is there"
            raise

    async def settle(self, operation: OpenOperation, _record: VmRecord | None) -> None:
        """Undo what a dead daemon began; the VM may be gone. What went into a guest, its agent has removed."""
        with reopened(operation.arguments) as host:
            await self._journal.undo_begun(operation, self.steps(nothing, host))

    def steps(self, transfer: Transfer, host: HostPlace | None) -> Sequence[Step]:
        """The steps. In a guest the agent places what was transferred, so the others are for copies on the host."""
        if host is None:
            return (Step("transfer", transfer, nothing),)
        return (
            Step("transfer", transfer, host.discard),
            Step("place", host.place, host.finish_replacing),
            Step("tidy", host.finish_replacing, nothing),
        )

    async def _copy_out(
        self, request: Request, record: VmRecord, channel: Channel, asked: CopyRequest, guest_path: str
    ) -> CopyResult:
        guest_path = posixpath.normpath(guest_path)
        name = asked["host_name"] or posixpath.basename(guest_path)
        final = check_name(name)
        shown = f"{record.name}:{printable(guest_path, limit=100)}"
        with opened(asked["host_directory"]) as directory:
            check_vacant(directory, final, replace=asked["replace"])
            host = HostPlace(directory, partial_name(final, request.operation), final, replace=asked["replace"])
            tree = HostTree(directory, host.partial, check_space=lambda size: check_space(directory, size))
            repositories: list[bytes] = []

            async def transfer() -> None:
                try:
                    moved = _progress(request, f"copying {shown}")
                    await receive_tree(channel, guest_path.encode(), tree, moved, repositories)
                except NotFound as error:
                    raise NotFound(f"there is no {shown}", hint="check the name with `banger vm exec`") from error

            await self._run(request, record, self.steps(transfer, host), host.arguments(asked["host_directory"]))
        if repositories or is_git(final):
            place = posixpath.join(name, *map(os.fsdecode, repositories))
            request.notice(
                f"{printable(place, limit=100)} is the guest's: git, and prompts that ask git, run what it says there"
            )
        return _result(os.path.join(asked["host_directory"], name), tree.count, skipped=0)

    async def _copy_in(
        self, request: Request, record: VmRecord, channel: Channel, asked: CopyRequest, guest_path: str
    ) -> CopyResult:
        if asked["host_name"] is None or asked["name"] is None:
            raise Invalid("there is nothing to copy", hint="give a file or a directory")
        # The top of the tree has its name only when it is complete; until then another one.
        partial = partial_name(check_name(asked["name"]), request.operation)
        notices = Notices(request, partial)
        walk = walk_host(
            asked["host_directory"], check_name(asked["host_name"]), partial, skipped=notices.skip_from_thread
        )
        first = await finish(asyncio.to_thread(next, walk))
        try:
            parent, final = await plan_guest_place(
                channel, record.name, guest_path, asked["name"], tree=isinstance(first, Directory), asked=asked
            )
            destination = posixpath.normpath(posixpath.join(parent, final))
            counter = TreeCounter()
            text = f"copying {printable(asked['host_name'], limit=100)} to {record.name}"

            async def transfer() -> None:
                entries: Iterator[PackEntry] = chain((first,), walk)
                pieces = pack_files(entries, report=notices.put_from_thread)
                moved = _progress(request, text)
                async with (
                    aclosing(iterate_in_thread(pieces)) as tree,
                    aclosing(counter.count(tree, moved)) as counted,
                ):
                    where = Place(partial=partial, final=final.encode(), replace=asked["replace"])
                    await channel.put_tree(parent.encode(), counted, place=where)

            await self._run(request, record, self.steps(transfer, None), {})
        finally:
            walk.close()
        notices.tell_rest()
        return _result(destination, counter.total, skipped=notices.skipped)

    async def _run(
        self, request: Request, record: VmRecord, steps: Sequence[Step], arguments: Mapping[str, str]
    ) -> None:
        await self._journal.roll_back_on_failure(
            kind=KIND,
            operation_id=f"{request.operation}.{KIND}",
            vm_id=record.id,
            begin=write_nothing,
            steps=steps,
            finish=write_nothing,
            undone=write_nothing,
            arguments=arguments,
        )


@dataclass(frozen=True, slots=True)
class HostPlace:
    """A final name in an open directory of the host, and the temporary name until the copy is complete."""

    directory: int
    partial: bytes
    final: bytes
    replace: bool

    def arguments(self, path: str) -> dict[str, str]:
        """What a later daemon needs to find it again; `path` is the directory's."""
        return {"directory": path, "partial": os.fsdecode(self.partial), "final": os.fsdecode(self.final)}

    async def place(self) -> None:
        place(self.directory, self.partial, self.final, replace=self.replace)

    async def finish_replacing(self) -> None:
        await finish(asyncio.to_thread(finish_replacing, self.directory, self.partial, self.final))

    async def discard(self) -> None:
        await finish(asyncio.to_thread(remove_entry, self.directory, self.partial))


class Notices:
    """Reports the first few files that were left out, and at the end how many more there were."""

    def __init__(self, request: Request, top: bytes) -> None:
        self._request = request
        self._top = top + b"/"
        self._loop = asyncio.get_running_loop()
        self._count = 0
        self.skipped = 0

    def skip_from_thread(self, path: bytes, what: str) -> None:
        """Report something that is left out."""
        self.skipped += 1
        self.put_from_thread(path, what)

    def put_from_thread(self, path: bytes, what: str) -> None:
        """Report a file that changed or vanished; `path` is below the top of the tree, or begins with it."""
        self._count += 1
        if self._count <= NOTICES_LIMIT:
            text = f"{printable(path.removeprefix(self._top), limit=100)} {what}"
            self._loop.call_soon_threadsafe(self._request.notice, text)

    def tell_rest(self) -> None:
        if self._count > NOTICES_LIMIT:
            self._request.notice(f"and {self._count - NOTICES_LIMIT} more like that")


@contextmanager
def opened(path: str) -> Iterator[int]:
    """A directory of the host, held open. Raises `NotFound`, `Failed`."""
    descriptor = open_directory(path)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def reopened(arguments: Mapping[str, str]) -> Iterator[HostPlace | None]:
    """The place of an earlier copy; None if that was in a guest, or if its directory is gone with all in it."""
    if "directory" not in arguments:
        yield None
        return
    try:
        descriptor = open_directory(arguments["directory"])
    except NotFound:
        yield None
        return
    try:
        partial, final = os.fsencode(arguments["partial"]), check_name(arguments["final"])
        yield HostPlace(descriptor, partial, final, replace=False)
    finally:
        os.close(descriptor)


async def receive_tree(
    channel: Channel, path: bytes, tree: HostTree, moved: Callable[[int], None], repositories: list[bytes]
) -> None:
    """Write what a guest sends. Writing happens in threads, and has ended when this returns or raises.

    `repositories` gets the first `.git` in it.
    """
    decoder = TreeDecoder()

    def take(piece: bytes) -> None:
        for event in decoder.feed(piece):
            tree.take(event)
            if isinstance(event, TreeRecord) and not repositories and is_git(event.path.rpartition(b"/")[2]):
                repositories.append(event.path)

    try:
        async with aclosing(channel.get_tree(path)) as pieces:
            async for piece in pieces:
                await finish(asyncio.to_thread(take, piece))
                moved(tree.size_bytes)
        decoder.finish()
        await finish(asyncio.to_thread(tree.finish))
    finally:
        tree.close()


async def look_in_guest(channel: Channel, path: str) -> Found:
    """What a path of the guest is, by the first record that the agent would send of it."""
    decoder = TreeDecoder()
    try:
        async with aclosing(channel.get_tree(path.encode())) as pieces:
            async for piece in pieces:
                for event in decoder.feed(piece):
                    assert isinstance(event, TreeRecord)  # content only follows a record
                    return "directory" if event.path else "file"
    except NotFound:
        return "nothing"
    return "empty directory"


async def plan_guest_place(
    channel: Channel, vm: str, guest_path: str, name: str, *, tree: bool, asked: CopyRequest
) -> tuple[str, str]:
    """The directory of the guest and the name in it that a copy gets. Raises `NotFound`, `AlreadyExists`.

    If the guest changes it meanwhile, the agent refuses the copy later.
    """
    parent, final = posixpath.split(guest_path.rstrip("/") or "/")
    found = await look_in_guest(channel, guest_path)
    if found in ("directory", "empty directory"):
        parent, final = guest_path, name
        found = await look_in_guest(channel, posixpath.join(parent, final))
    elif found == "nothing":
        missing = guest_path if guest_path.endswith("/") else parent
        if missing == guest_path or not (await look_in_guest(channel, parent)).endswith("directory"):
            raise NotFound(
                f"there is no directory {vm}:{printable(missing, limit=100)}",
                hint=f"make it with `banger vm exec {vm} -- mkdir -p DIR`",
            )
    shown = f"{vm}:{printable(posixpath.join(parent, final), limit=100)}"
    if (found == "directory" and not (tree and asked["replace"])) or (found.endswith("directory") and not tree):
        hint = "give another name, or --force to replace all of it" if tree else "give another name"
        raise AlreadyExists(f"{shown} is already a directory", hint=hint)
    if found == "file" and tree:
        raise AlreadyExists(f"{shown} is already a file", hint="give another name")
    return parent, final


def is_git(name: bytes) -> bool:
    """Whether git takes a name for a repository's directory: it obeys what is in there, and may run programs."""
    return spelled(name) == ".git"


def check_guest_path(path: str) -> str:
    """Return `path` if a guest can have such a path. Raises `Invalid`."""
    if not path or "\0" in path or len(path) > 4000:
        raise Invalid("that is not a path in a guest", hint="write VM:PATH")
    return path


def check_space(directory: int, needed_bytes: int) -> None:
    """Raise `Unavailable` before a copy fills the disk."""
    free_bytes = free_bytes_of(directory)
    if free_bytes < FLOOR_BYTES + needed_bytes:
        raise Unavailable(
            f"only {format_size(free_bytes)} are free where the copy goes, and {format_size(needed_bytes)} more are to"
            f" come; {format_size(FLOOR_BYTES)} stay free",
            hint="free some space, or copy to another disk",
            free_bytes=free_bytes,
        )


def _progress(request: Request, text: str) -> Callable[[int], None]:
    """Reports the bytes so far, now and then. To be called in the event loop."""
    told = 0
    request.report({"event": "stage", "stage": "copy", "text": text, "state": "begin"})

    def moved(done: int) -> None:
        nonlocal told
        if done - told >= PROGRESS_STEP_BYTES:
            told = done
            request.report(
                {"event": "stage", "stage": "copy", "text": text, "state": "progress", "done": done, "unit": "bytes"}
            )

    return moved


def _result(destination: str, count: TreeCount, *, skipped: int) -> CopyResult:
    return {
        "destination": destination,
        "files": count.files,
        "directories": count.directories,
        "links": count.links,
        "skipped": skipped,
        "size_bytes": count.size_bytes,
    }
