"""What a build does in its guest: files, packages, commands. Nothing of a recipe runs anywhere else."""

from __future__ import annotations

import os
import posixpath
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Final

from banger.core.errors import BangerError, Failed, Invalid, NotFound, error_of_kind
from banger.core.progress import Progress
from banger.core.untrusted import printable
from banger.guest.channel import Channel
from banger.guest.host_files import list_host_files
from banger.guest.process import ExecRequest
from banger.guest.tree_pack import Directory, HostFile, MemoryFile, PackEntry, iterate_in_thread, pack_files
from banger.guest.tree_stream import TreeDecoder, TreeRecord
from banger.image.build_recipe import RecipeFile

_FILES_LIMIT: Final = 100_000
_LINES_KEPT: Final = 20
_LINE_LIMIT: Final = 4096
_PACKAGES_PLACE: Final = "/tmp/banger-packages"  # noqa: S108 - of the guest, and no part of the image
# Services of packages are not started: the machine is thrown away, and many would wait for what is not there.
_POLICY: Final = "/usr/sbin/policy-rc.d"
_POLICY_TEXT: Final = b"#!/bin/sh\nexit 101\n"

Report = Callable[[Progress], None]


def list_recipe_files(directory: Path, files: Sequence[RecipeFile]) -> list[tuple[str, list[PackEntry]]]:
    """Directories of the guest, and what is put into each. Blocking.

    Raises `Invalid` for what is not there, leads through a link, or is neither file nor directory, and `Failed` for
    what cannot be read.
    """
    found: list[tuple[str, list[PackEntry]]] = []
    count = 0
    for file in files:

        def refuse(name: bytes, what: str) -> None:
            raise Invalid(f"{printable(name, limit=200)} {what}", hint="a recipe can only copy files and directories")

        destination, base = posixpath.split(file.path)
        try:
            listed = list_host_files(directory, os.fsencode(file.source), at=os.fsencode(base), skipped=refuse)
            entries = [with_mode(entry, file, base) for entry, _ in listed]
        except (FileNotFoundError, NotADirectoryError) as error:
            raise Invalid(
                f"there is no {printable(file.source, limit=200)} beside the recipe, or only through a link",
                hint="files must be in the recipe's directory",
            ) from error
        except OSError as error:
            raise Failed(f"{printable(file.source, limit=200)} cannot be read: {error.strerror}") from error
        count += len(entries)
        if count > _FILES_LIMIT:
            raise Invalid(f"the recipe copies more than {_FILES_LIMIT} files", hint="copy one archive instead")
        found.append((destination, entries))
    return found


def with_mode(entry: PackEntry, file: RecipeFile, base: str) -> PackEntry:
    """Give a file that the recipe names itself the mode from the recipe; files in a directory keep their own."""
    if isinstance(entry, HostFile) and entry.path == os.fsencode(base) and file.mode_bits is not None:
        return HostFile(path=entry.path, root=entry.root, name=entry.name, mode=file.mode_bits)
    if file.mode is not None and isinstance(entry, Directory):
        raise Invalid(
            f"{printable(file.source, limit=200)} is a directory, and its files have modes of their own",
            hint="leave `mode` out, and set the modes of the files",
        )
    return entry


class BuildGuest:
    """A guest that is becoming an image. Everything runs as root, in exactly the given environment."""

    def __init__(self, channel: Channel, environment: Mapping[str, str], report: Report) -> None:
        self._channel = channel
        self._environment = environment
        self._report = report

    async def put(self, destination: str, entries: Sequence[PackEntry]) -> None:
        """Write files below a directory of the guest. Raises the guest's error."""

        def changed(path: bytes, what: str) -> None:
            raise Failed(f"{printable(path, limit=200)} {what}: it changed while it was copied")

        try:
            async with aclosing(iterate_in_thread(pack_files(entries, report=changed))) as tree:
                await self._channel.put_tree(os.fsencode(destination), tree)
        except BangerError as error:
            summary = f"files cannot be put into {printable(destination, limit=200)}: {error.summary}"
            raise error_of_kind(error.kind, summary, hint=error.hint or "see what the image has there") from error

    async def read(self, path: str, *, limit_bytes: int) -> str | None:
        """The text of a file, with escapes, or None if it is missing. Raises `Failed` if it is too long."""
        decoder = TreeDecoder()
        content = bytearray()
        try:
            async with aclosing(self._channel.get_tree(path.encode())) as pieces:
                async for piece in pieces:
                    for event in decoder.feed(piece):
                        if isinstance(event, TreeRecord):
                            if event.kind != "f" or event.path or event.size > limit_bytes:
                                raise Failed(
                                    f"{path} of the image is not a regular file of reasonable size",
                                    hint="use another image",
                                )
                        else:
                            content += event
        except NotFound:
            return None
        return content.decode("utf-8", "replace")

    async def install(self, packages: Sequence[Path]) -> None:
        """Have the guest's apt install package files of the host. Raises `Failed`."""
        total = sum(path.stat().st_size for path in packages)
        text = f"copying {len(packages)} packages into the guest"
        self._report(Progress(stage="packages", text=text, done=0, total=total, unit="bytes"))
        names = [path.name.encode() for path in packages]
        files = [HostFile(path=name, root=packages[0].parent, name=name, mode=0o644) for name in names]
        await self.put(_PACKAGES_PLACE, files)
        keeps_policy = await self.read(_POLICY, limit_bytes=1 << 20) is not None
        if not keeps_policy:
            parent, name = posixpath.split(_POLICY)
            await self.put(parent, [MemoryFile(path=name.encode(), content=_POLICY_TEXT, mode=0o755)])
        await self.run(plan_installation([f"{_PACKAGES_PLACE}/{name.decode()}" for name in names]), stage="packages")
        if not keeps_policy:
            await self.run(["rm", "-f", _POLICY], stage="packages")

    async def run(self, argv: Sequence[str], *, stage: str, shown: str = "") -> None:
        """Run a program to its end, reporting its lines as progress. Raises `Failed` with its status and last lines."""
        shown = printable(shown or " ".join(argv), limit=100)
        self._report(Progress(stage=stage, text=shown))
        request = ExecRequest(argv=argv, environment=self._environment, cwd="/")
        lines = Lines(lambda line: self._report(Progress(stage=stage, text=line)))
        async with self._channel.exec(request) as process:
            while (chunk := await process.read()) is not None:
                lines.feed(chunk.channel, chunk.data)
            ended = await process.wait()
        lines.end()
        if ended.code == 0:
            return
        how = f"was ended by signal {ended.signal}" if ended.signal is not None else f"ended with status {ended.code}"
        raise Failed(
            f"`{shown}` {how} in the guest" + (f": {lines.kept[-1]}" if lines.kept else ""),
            hint="nothing of the build was kept",
            log_tail="\n".join(lines.kept),
            exit_status=ended.code,
        )


class Lines:
    """Output of two channels as printable lines, of which the last are kept."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self.kept: deque[str] = deque(maxlen=_LINES_KEPT)
        self._tell = tell
        self._rest = {0: b"", 1: b""}

    def feed(self, channel: int, data: bytes) -> None:
        """Take bytes of a channel, 0 or 1."""
        *whole, rest = (self._rest[channel] + data).replace(b"\r", b"\n").split(b"\n")
        self._rest[channel] = rest[-_LINE_LIMIT:]
        for line in whole:
            self._take(line)

    def end(self) -> None:
        """The output is complete: a last line without a line end counts too."""
        for rest in self._rest.values():
            self._take(rest)

    def _take(self, raw: bytes) -> None:
        line = printable(raw.strip(), limit=300)
        if line:
            self.kept.append(line)
            self._tell(line)


def plan_installation(packages: Sequence[str]) -> list[str]:
    """The arguments of apt-get(8) that install files of the guest without asking an archive."""
    options = (
        "APT::Sandbox::User=root",
        "Dir::Etc::sourcelist=/dev/null",
        "Dir::Etc::sourceparts=/dev/null",
        "Dpkg::Options::=--force-confdef",
        "Dpkg::Options::=--force-confold",
        "Dpkg::Use-Pty=0",
    )
    settings = [word for option in options for word in ("-o", option)]
    return ["apt-get", "-q", "-y", "--no-install-recommends", *settings, "install", *packages]
