"""The default image from Debian's signed archive, by mmdebstrap, with or without root."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, Protocol

from banger.core.debian import KEYRING, Mirrors, find_mirrors, render_sources
from banger.core.errors import Failed, Unavailable, Unsupported
from banger.core.processes import end, start
from banger.core.progress import Progress
from banger.core.untrusted import printable
from banger.image.recipe import EMPTIED, MASKED_UNITS, PROFILE, REMOVED, SUITE, all_packages, plan_mmdebstrap
from banger.image.store import Image, ImageStore, plan_manifest

_DEADLINE_S: Final = 3600.0
_POLITE_S: Final = 20.0
_HINT: Final = "`banger doctor` shows what is missing; the last lines of mmdebstrap are in the daemon's log"
_NOISE: Final = re.compile(r"^[IWE]: ")


class RootfsTree(Protocol):
    """A root file system in memory that can be edited and then written."""

    def remove(self, path: str) -> None:
        """Take a file or directory out; nothing happens when it is not there."""

    def empty(self, path: str) -> None:
        """Take everything out of a directory."""

    def add_text(self, path: str, text: str) -> None:
        """Put a file of root's, mode 0644."""

    def add_symlink(self, path: str, target: str) -> None: ...

    def find_init(self) -> str | None: ...

    def write_image(self, destination: Path, report: Callable[[int], None]) -> int:
        """Write the image; its size in bytes."""


ReadRootfs = Callable[[BinaryIO], RootfsTree]


@dataclass(frozen=True, slots=True, kw_only=True)
class HostFacts:
    """What decides how mmdebstrap can run here."""

    uid: int
    has_mmdebstrap: bool
    has_newuidmap: bool
    has_keyring: bool
    has_subordinate_ids: bool


def read_host_facts(user: str) -> HostFacts:
    """Look at this host."""

    def has_range(path: str) -> bool:
        with suppress(OSError):
            return any(line.split(":")[0] in (user, str(os.getuid())) for line in Path(path).read_text().splitlines())
        return False

    return HostFacts(
        uid=os.getuid(),
        has_mmdebstrap=shutil.which("mmdebstrap") is not None,
        has_newuidmap=shutil.which("newuidmap") is not None,
        has_keyring=Path(KEYRING).exists(),
        has_subordinate_ids=has_range("/etc/subuid") and has_range("/etc/subgid"),
    )


def choose_mode(facts: HostFacts) -> str:
    """`root` or `unshare`. Raises `Unavailable` or `Unsupported` with what to do about it."""
    if not facts.has_mmdebstrap:
        raise Unavailable("mmdebstrap is not installed", hint="sudo apt install mmdebstrap")
    if not facts.has_keyring:
        raise Unavailable("Debian's archive keys are not installed", hint="sudo apt install debian-archive-keyring")
    if facts.uid == 0:
        return "root"
    if not facts.has_newuidmap:
        raise Unavailable("newuidmap is not installed", hint="sudo apt install uidmap")
    if not facts.has_subordinate_ids:
        raise Unsupported(
            "your user has no range of subordinate user ids, which building an image without root needs",
            hint='sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 "$USER"',
        )
    return "unshare"


async def make_debian_image(
    store: ImageStore,
    name: str,
    *,
    host_sources: Sequence[str],
    facts: HostFacts,
    read_rootfs: ReadRootfs,
    report: Callable[[Progress], None],
) -> Image:
    """Build, edit in memory, write and publish the image. Cancelling it leaves nothing."""
    mode = choose_mode(facts)
    with store.content.draft() as draft:
        sources, archive = draft / "sources.list", draft / "rootfs.tar"
        sources.write_text(render_sources(find_mirrors(host_sources, suite=SUITE), suite=SUITE))
        report(Progress(stage="image", text=f"building {name} from Debian's archive"))
        argv = plan_mmdebstrap(mode=mode, output=str(archive), sources=str(sources))
        await _run_mmdebstrap(draft, contain(argv, mode=mode), report)
        report(Progress(stage="image", text=f"writing the file system of {name}"))
        image = await asyncio.to_thread(_write, store, name, draft, archive, read_rootfs)
        report(Progress(stage="image", text=f"{name} is ready"))
        return image


def contain(argv: list[str], *, mode: str) -> list[str]:
    """Run the build so that it dies with us, whatever happens to us, and leaves no mount behind.

    As root it gets mounts and process ids of its own (unshare(1)), which the kernel clears away with its last process;
    without root mmdebstrap makes such namespaces itself, and cleans up when it is asked to end.
    """
    if mode == "root":
        own = ["unshare", "--mount", "--pid", "--fork", "--kill-child=KILL", "--mount-proc"]
        return ["setpriv", "--pdeathsig", "KILL", *own, *argv]
    return ["setpriv", "--pdeathsig", "TERM", *argv]


async def _run_mmdebstrap(draft: Path, argv: list[str], report: Callable[[Progress], None]) -> None:
    temporary = draft / "tmp"
    temporary.mkdir()
    draft.chmod(0o711)  # in a user namespace another id of ours works below it; its own name is secret
    temporary.chmod(0o1777)
    process = await start(
        argv,
        environment={"TMPDIR": str(temporary), "LC_ALL": "C.UTF-8"},
        cwd=draft,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    last: list[str] = []
    try:
        async with asyncio.timeout(_DEADLINE_S):
            async for raw in process.stderr:
                line = printable(raw.strip(), limit=200)
                if line:
                    last = [*last[-14:], line]
                    report(Progress(stage="image", text=_NOISE.sub("", line)))
            status = await process.wait()
    except TimeoutError as error:
        raise Failed("mmdebstrap did not end within an hour", hint=_HINT) from error
    finally:
        await _end_politely(process)
    if status != 0:
        raise Failed(f"mmdebstrap failed: {last[-1] if last else 'it said nothing'}", hint=_HINT, log="\n".join(last))


async def _end_politely(process: asyncio.subprocess.Process) -> None:
    """mmdebstrap removes files of other ids itself when it is asked to stop; killed, it could not."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGINT)
        with suppress(TimeoutError):
            async with asyncio.timeout(_POLITE_S):
                await asyncio.shield(process.wait())
    await end(process)


def _write(store: ImageStore, name: str, draft: Path, archive: Path, read_rootfs: ReadRootfs) -> Image:
    with archive.open("rb") as source:
        tree = read_rootfs(source)
        edit(tree)
        tree.write_image(draft / "rootfs.erofs", lambda _bytes: None)
        init = tree.find_init()
    manifest = plan_manifest(
        name=name,
        architecture="x86_64",
        init=init,
        created_at_s=time.time(),
        source=f"Debian {SUITE}, signed archive",
        packages=all_packages(),
    )
    content = store.content.publish(draft, name=name, files=["rootfs.erofs"], manifest=manifest)
    return store.read(content.digest)


def edit(tree: RootfsTree) -> None:
    """Take out what is the build's own, and put in what makes the image one of ours."""
    for path in REMOVED:
        tree.remove(path)
    for path in EMPTIED:
        tree.empty(path)
    for unit in MASKED_UNITS:
        tree.add_symlink(f"etc/systemd/system/{unit}", "/dev/null")
    tree.add_text("etc/machine-id", "")
    tree.add_text("etc/default/locale", "LANG=C.UTF-8\n")
    tree.add_text("etc/apt/sources.list", render_sources(Mirrors(), suite=SUITE))
    tree.add_text("etc/profile.d/banger.sh", PROFILE)


def import_tar(store: ImageStore, name: str, source: BinaryIO, *, read_rootfs: ReadRootfs, origin: str) -> Image:
    """An image out of a root file system archive, unmodified."""
    with store.content.draft() as draft:
        tree = read_rootfs(source)
        tree.write_image(draft / "rootfs.erofs", lambda _bytes: None)
        manifest = plan_manifest(
            name=name,
            architecture="x86_64",
            init=tree.find_init(),
            created_at_s=time.time(),
            source=origin,
            packages=[],
        )
        content = store.content.publish(draft, name=name, files=["rootfs.erofs"], manifest=manifest)
        return store.read(content.digest)
