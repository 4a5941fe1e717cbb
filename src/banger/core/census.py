"""Finding and ending processes that are ours, without ever trusting a stored pid.

A VM's processes run with the VM's run directory as their working directory and its id on their command line. That label
finds them even when the daemon was killed between starting one and writing its identity down.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from banger.core.errors import TimedOut
from banger.core.processes import ProcessIdentity, open_pidfd, read_identity

_END_DEADLINE_S: Final = 10.0


def find_processes(directory: Path, *, label: str) -> list[ProcessIdentity]:
    """Processes of our user that work in `directory` (also if it was removed) and have `label` in an argument."""
    wanted = os.fspath(directory)
    return [identity for _, identity in _find(lambda place: label if place == wanted else None)]


def find_labelled(parent: Path) -> list[tuple[str, ProcessIdentity]]:
    """Processes that work in a directory right below `parent`, and have its name in an argument: name and process."""
    above = os.path.join(parent, "")
    return list(_find(lambda place: place.removeprefix(above) if place.startswith(above) else None))


def _find(label_of: Callable[[str], str | None]) -> Iterator[tuple[str, ProcessIdentity]]:
    """Processes whose working directory has a label, if that is in one of their arguments. Never ourselves."""
    for entry in os.scandir("/proc"):
        if not entry.name.isdecimal() or int(entry.name) == os.getpid():
            continue
        try:
            place = os.fsdecode(Path(f"/proc/{entry.name}/cwd").readlink()).removesuffix(" (deleted)")
            label = label_of(place)
            if label is None:
                continue
            arguments = Path(f"/proc/{entry.name}/cmdline").read_bytes().split(b"\0")
        except OSError:
            continue  # gone, or somebody else's
        identity = read_identity(int(entry.name))
        if identity is not None and any(os.fsencode(label) in argument for argument in arguments):
            yield label, identity


async def end_process(identity: ProcessIdentity, *, signal_number: int = signal.SIGKILL) -> bool:
    """Signal exactly that process and wait until it is gone. False when it was gone already.

    Raises `TimedOut` when it does not go, which for SIGKILL means that it hangs in the kernel.
    """
    pidfd = open_pidfd(identity)
    if pidfd is None:
        return False
    try:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(pidfd, signal_number)
        await wait_for_end(pidfd, deadline_s=_END_DEADLINE_S)
    finally:
        os.close(pidfd)
    return True


async def wait_for_end(pidfd: int, *, deadline_s: float) -> None:
    """Wait until the process behind `pidfd` has ended (pidfd_open(2): it then polls readable)."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(pidfd, ended.set)
    try:
        async with asyncio.timeout(deadline_s):
            await ended.wait()
    except TimeoutError as error:
        raise TimedOut(f"a process did not end within {deadline_s:g} s") from error
    finally:
        loop.remove_reader(pidfd)
