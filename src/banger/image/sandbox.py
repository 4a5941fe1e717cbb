"""Running mmdebstrap so that it leaves nothing: no process, no mount, no file of another user id."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from banger.core.builds import BUILD_PROGRAM, find_abandoned_builds, find_builders
from banger.core.content_store import ContentStore, make_locked_directory, remove_unlocked_directory
from banger.core.debian import KEYRING
from banger.core.errors import BangerError, TimedOut, Unavailable, Unsupported
from banger.core.finishing import finish
from banger.core.layout import BUILD_BELOW_DRAFT, BUILDS, build_prefix
from banger.core.locks import is_locked
from banger.core.processes import end, proxy_environment, run, start
from banger.core.threads import run_in_thread

_DEADLINE_S: Final = 3600.0
_POLITE_S: Final = 20.0
_POLL_S: Final = 0.02
_HELPER_DEADLINE_S: Final = 60.0
_READ_BYTES: Final = 1 << 16
_LINE_LIMIT_BYTES: Final = 1 << 20
_RANGE: Final = 65536
_SETTINGS: Final = (
    ("kernel/unprivileged_userns_clone", "0", "1"),
    ("kernel/apparmor_restrict_unprivileged_userns", "1", "0"),
    ("user/max_user_namespaces", "0", "65536"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class HostFacts:
    """Facts that decide how mmdebstrap can run here. `obstacle` is a `sysctl -w` argument that would help, or empty."""

    uid: int
    has_mmdebstrap: bool
    has_newuidmap: bool
    has_keyring: bool
    has_subordinate_ids: bool
    obstacle: str = ""


def read_host_facts(user: str, *, root: Path = Path("/")) -> HostFacts:
    """Look at this host."""
    return HostFacts(
        uid=os.getuid(),
        has_mmdebstrap=shutil.which("mmdebstrap") is not None,
        has_newuidmap=shutil.which("newuidmap") is not None,
        has_keyring=Path(KEYRING).exists(),
        has_subordinate_ids=all(
            _has_range(root / "etc" / name, user=user, uid=os.getuid()) for name in ("subuid", "subgid")
        ),
        obstacle=_find_obstacle(root / "proc" / "sys"),
    )


def _has_range(path: Path, *, user: str, uid: int) -> bool:
    """Whether the file gives the user at least 65536 ids in one piece (subuid(5))."""
    with suppress(OSError):
        for line in path.read_text(errors="replace").splitlines():
            owner, _, numbers = line.partition(":")
            count = numbers.rpartition(":")[2]
            if owner in (user, str(uid)) and count.isdecimal() and int(count) >= _RANGE:
                return True
    return False


def _find_obstacle(settings: Path) -> str:
    for name, bad, good in _SETTINGS:
        with suppress(OSError):
            if (settings / name).read_text().strip() == bad:
                return f"{name.replace('/', '.')}={good}"
    return ""


def check_runs_here(architecture: str, *, host: str, binfmt: Path = Path("/proc/sys/fs/binfmt_misc")) -> None:
    """Raise `Unavailable` where this computer cannot run what a build for an architecture runs: its packages' scripts.

    Programs of another architecture need an interpreter that the kernel knows (binfmt_misc, by the name that all who
    register qemu-user give it).
    """
    if architecture != host and not (binfmt / f"qemu-{architecture}").exists():
        raise Unavailable(
            f"an image of Debian for {architecture} can only be built where its programs run, and they do not run here",
            hint="sudo apt install qemu-user-static, or take an image of a registry: --image debian:bookworm",
        )


def choose_mode(facts: HostFacts) -> str:
    """`root`, or `unshare` for an ordinary user. Raises `Unavailable` or `Unsupported` with what to do about it."""
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
    if facts.obstacle:
        raise Unsupported(
            "this host does not let ordinary users make user namespaces, which building an image without root needs",
            hint=f"sudo sysctl -w {facts.obstacle}",
        )
    return "unshare"


@asynccontextmanager
async def build_directory(draft: Path, *, mode: str, place: Path = BUILDS) -> AsyncIterator[Path]:
    """A directory for mmdebstrap's temporary files, which is removed afterwards.

    What killed builds of this user left is removed first.
    """
    if mode == "root":
        directory = draft / BUILD_BELOW_DRAFT
        directory.mkdir(mode=0o711)
        yield directory
        return
    await _clear_place(place)
    directory, descriptor = make_locked_directory(place, prefix=build_prefix(os.getuid()))
    try:
        directory.chmod(0o711)
        yield directory
    finally:
        os.close(descriptor)
        await finish(_remove_foreign(directory))


async def clear_abandoned_builds(content: ContentStore, *, place: Path = BUILDS) -> None:
    """Remove what killed builds left, in the store and, of this user, in `place`. What outlived them is ended."""
    for draft in content.abandoned_drafts():
        await _end_orphans(draft / BUILD_BELOW_DRAFT)
    await run_in_thread(lambda _check: content.remove_drafts())
    await _clear_place(place)


async def _clear_place(place: Path) -> None:
    for path in await asyncio.to_thread(find_abandoned_builds, place):
        await _end_orphans(path)
        await _remove_foreign(path)


async def _end_orphans(directory: Path) -> None:
    """End builds that outlived the one who started them, as gently as one of ours: with their process groups."""
    for number in (signal.SIGINT, signal.SIGKILL):
        asked: set[int] = set()
        with suppress(TimeoutError):
            async with asyncio.timeout(_POLITE_S):
                while orphans := await asyncio.to_thread(find_builders, directory):
                    for orphan in orphans:
                        with suppress(ProcessLookupError):
                            group = os.getpgid(orphan.pid)
                            if group not in asked:
                                os.killpg(group, number)
                            asked.add(group)
                    await asyncio.sleep(_POLL_S)
                return


async def _remove_foreign(directory: Path) -> None:
    """Remove a build directory. Files of our subordinate ids are removed as their root. What is in use stays."""
    if await asyncio.to_thread(remove_unlocked_directory, directory) or is_locked(directory):
        return
    with suppress(BangerError):
        names = [entry.path for entry in os.scandir(directory)]
        argv = [BUILD_PROGRAM, "--unshare-helper", "rm", "-rf", "--one-file-system", "--", *names]
        await run(argv, timeout_s=_HELPER_DEADLINE_S)
    await asyncio.to_thread(remove_unlocked_directory, directory)


async def can_contain() -> bool:
    """Whether root may make mount and pid namespaces here; in most containers it may not, nor may it mount."""
    try:
        await run(["unshare", "--mount", "--pid", "--fork", "--mount-proc", "true"], timeout_s=_HELPER_DEADLINE_S)
    except BangerError:
        return False
    return True


async def run_build(argv: Sequence[str], *, directory: Path, take_line: Callable[[bytes], None]) -> int:
    """Run mmdebstrap in `directory` to its end and return its status. Raises `TimedOut`, `Unavailable`.

    Cancelled, it is asked to stop, because it removes files of other ids itself; then it is killed with all its
    children.
    """
    process = await start(
        argv,
        environment={**proxy_environment(), "TMPDIR": os.fspath(directory), "LC_ALL": "C.UTF-8"},
        cwd=directory,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(_DEADLINE_S):
            await _read_lines(process.stdout, take_line)
            return await process.wait()
    except TimeoutError as error:
        raise TimedOut("mmdebstrap did not end within an hour", hint="see whether Debian's mirror answers") from error
    finally:
        await finish(_end_politely(process))


async def _read_lines(stream: asyncio.StreamReader, take_line: Callable[[bytes], None]) -> None:
    """Lines end in LF, or in CR where a program paints its progress over and over."""
    rest = b""
    while data := await stream.read(_READ_BYTES):
        *lines, rest = (rest + data).replace(b"\r", b"\n").split(b"\n")
        for line in lines:
            take_line(line)
        rest = rest[-_LINE_LIMIT_BYTES:]
    take_line(rest)


async def _end_politely(process: asyncio.subprocess.Process) -> None:
    assert process.stdout is not None
    if process.returncode is not None and process.stdout.at_eof():
        return
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGINT)
    draining = asyncio.create_task(_drain(process.stdout))
    with suppress(TimeoutError):
        async with asyncio.timeout(_POLITE_S):
            while process.returncode is None:  # noqa: ASYNC110 - wait() also waits for children that hold the pipe
                await asyncio.sleep(_POLL_S)
    # Its children too, also when it has just gone itself: they are its process group as long as there are any.
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    draining.cancel()
    await asyncio.wait([draining])
    await end(process)


async def _drain(stream: asyncio.StreamReader) -> None:
    """Keep the pipe empty, else both sides could wait for each other."""
    while await stream.read(_READ_BYTES):
        pass
