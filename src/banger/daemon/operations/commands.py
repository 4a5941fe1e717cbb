"""Run a program in a guest for a client: input, output, signals and status pass through."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

from banger.api.messages import ControlMessage, ExitResult, PtySize
from banger.core.commands import check_command
from banger.daemon.streams import Input, StreamExchange
from banger.guest.channel import Channel
from banger.guest.process import ExecRequest, GuestProcess
from banger.guest.process import PtySize as GuestPtySize
from banger.image.store import Image
from banger.store.records import VmRecord

GUEST_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# Login shells differ between images, and an image without bash is no reason to fail.
LOGIN_SHELL: Final = ("/bin/sh", "-c", "command -v bash >/dev/null 2>&1 && exec bash -l; exec sh -l")


def plan_environment(image: Mapping[str, str], asked: Mapping[str, str]) -> dict[str, str]:
    """The environment of a program in the guest: ours, then the image's, then what was asked for.

    HOME, USER and LOGNAME are the agent's to add, which knows the guest's users. Whether a guest takes all this is
    `banger.core.commands.check_command`'s to say.
    """
    return {"PATH": GUEST_PATH, "LANG": "C.UTF-8", **image, **asked}


def default_directory(record: VmRecord, image: Image | None = None) -> str:
    """Where commands run that say nothing else: the workspace, or where their image wants them, or root's home."""
    wanted = image.run.working_dir if image is not None else ""
    return record.workspaces[0].guest_path if record.workspaces else wanted or "/root"


def default_user(record: VmRecord, image: Image) -> str | None:
    """As whom commands run that say nothing else: root, whose the workspace is, or whom the image wants."""
    return None if record.workspaces else image.run.user or None


def default_command(image: Image) -> tuple[str, ...]:
    """What runs where nothing is asked for: the program that an image without init is made for, or a login shell."""
    return image.run.argv if image.init is None and image.run.argv else LOGIN_SHELL


async def run_for_client(
    channel: Channel,
    exchange: StreamExchange,
    *,
    argv: Sequence[str],
    environment: Mapping[str, str],
    cwd: str,
    user: str | None,
    pty: PtySize | None,
    stdin: bool,
    make_cwd: bool,
) -> ExitResult:
    """Run one program and return how it ended. The program is killed when we are cancelled.

    Raises `Invalid` for a command that no guest takes.
    """
    check_command(argv, environment)
    request = ExecRequest(
        argv=tuple(argv),
        environment=environment,
        cwd=cwd,
        user=user,
        pty=GuestPtySize(rows=pty["rows"], columns=pty["columns"]) if pty is not None else None,
        stdin=stdin,
        make_directory=make_cwd,
    )
    async with channel.exec(request) as process:
        exchange.on_control = lambda message: _control(process, message)
        feeding = asyncio.create_task(_feed(exchange.input, process)) if stdin else None
        try:
            while (chunk := await process.read()) is not None:
                await exchange.send_output(chunk.data, error=chunk.channel == 1)
            ended = await process.wait()
        finally:
            exchange.on_control = lambda _message: None
            if feeding is not None:
                feeding.cancel()
                await asyncio.wait((feeding,))
    signal_number = ended.signal
    status = 128 + signal_number if signal_number is not None else ended.code or 0
    return {"status": status & 0xFF, "signal": signal_number, "vm": None}


def _control(process: GuestProcess, message: ControlMessage) -> None:
    if "signal" in message:
        process.signal(message["signal"])
    if "rows" in message and "columns" in message:
        process.resize(message["rows"], message["columns"])


async def _feed(source: Input, process: GuestProcess) -> None:
    while (data := await source.get()) is not None:
        await process.write(data)
    await process.close_stdin()
