"""Run a program in a guest for a client: input, output, signals and status pass through."""

from __future__ import annotations

import asyncio
import posixpath
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from typing import Final

from banger.api.messages import ControlMessage, ExitResult, PtySize
from banger.core.commands import check_command, check_terminal_size
from banger.core.errors import Denied, NotFound, TimedOut
from banger.core.vm import VmSpec
from banger.daemon.streams import Input, StreamExchange
from banger.guest.channel import Channel
from banger.guest.process import ExecRequest, GuestProcess
from banger.guest.process import PtySize as GuestPtySize
from banger.image.store import Image
from banger.store.records import VmRecord, WorkspaceRecord
from banger.workspace.toolchain import MISE_PROGRAMS, find_around, mise_environment, through_mise

GUEST_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# Login shells differ between images, and an image without bash is no reason to fail.
LOGIN_SHELL: Final = ("/bin/sh", "-c", "command -v bash >/dev/null 2>&1 && exec bash -l; exec sh -l")
LAST_WORDS_S: Final = 5.0  # what a command gets to end by itself when its time is up
TIMED_OUT: Final = 124  # the status that timeout(1) gives


def usual_environment(spec: VmSpec, image: Image, asked: Mapping[str, str]) -> dict[str, str]:
    """The environment of a command in a VM."""
    return plan_environment({**image.environment, **spec.environment}, asked)


def plan_environment(image: Mapping[str, str], asked: Mapping[str, str]) -> dict[str, str]:
    """The environment of a program in the guest: banger's, then the image's, then the request's.

    The agent adds HOME, USER and LOGNAME, because it knows the guest's users. Whether a guest accepts all this,
    `banger.core.commands.check_command` decides.
    """
    return {"PATH": GUEST_PATH, "LANG": "C.UTF-8", **image, **asked}


def default_directory(record: VmRecord, image: Image | None = None) -> str:
    """The default directory of commands: the workspace, else the image's working directory, else root's home."""
    wanted = image.run.working_dir if image is not None else ""
    return record.workspaces[0].guest_path if record.workspaces else wanted or "/root"


def resolve_directory(record: VmRecord, image: Image | None, asked: str | None) -> str:
    """Where a command runs: `asked`, which may be relative to the default directory, or that."""
    usual = default_directory(record, image)
    return posixpath.join(usual, asked) if asked else usual


def find_workspace(record: VmRecord, directory: str) -> WorkspaceRecord | None:
    """The workspace that a directory of the guest is in."""
    place = find_around([workspace.guest_path for workspace in record.workspaces], directory)
    return next((workspace for workspace in record.workspaces if workspace.guest_path == place), None)


def plan_tools(record: VmRecord, directory: str) -> Mapping[str, str] | None:
    """What mise has to know to start a command there; None outside of workspaces, where mise is not used."""
    workspace = find_workspace(record, directory)
    return mise_environment(workspace.guest_path, network=record.spec.nat) if workspace is not None else None


def default_user(record: VmRecord, image: Image) -> str | None:
    """The default user of commands: the VM's; else root, if there is a workspace; else the image's."""
    return record.spec.user or (None if record.workspaces else image.run.user or None)


def default_command(image: Image) -> tuple[str, ...]:
    """The default command: the entrypoint of an image without init, else a login shell."""
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
    tools: Mapping[str, str] | None = None,
    timeout_s: float | None = None,
) -> ExitResult:
    """Run one program and return how it ended. It is killed when this call is cancelled.

    With `tools`, mise starts it if the guest has mise. Raises `Invalid` for a command that no guest accepts,
    `TimedOut` for one that did not end in time, after SIGTERM and, a little later, SIGKILL.
    """
    check_command(argv, environment)
    if pty is not None:
        check_terminal_size(pty["rows"], pty["columns"])
    request = ExecRequest(
        argv=tuple(argv),
        environment=environment,
        cwd=cwd,
        user=user,
        pty=GuestPtySize(rows=pty["rows"], columns=pty["columns"]) if pty is not None else None,
        stdin=stdin,
        make_directory=make_cwd,
    )
    async with begin(channel, request, tools) as process:
        exchange.on_control = lambda message: _control(process, message)
        feeding = asyncio.create_task(_feed(exchange.input, process)) if stdin else None
        try:
            async with within_time(process, timeout_s):
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


@asynccontextmanager
async def begin(
    channel: Channel, request: ExecRequest, tools: Mapping[str, str] | None = None
) -> AsyncIterator[GuestProcess]:
    """Start a program, by mise if there are `tools` and the guest has mise. A shell asks mise in its own way."""
    is_shell = tuple(request.argv) == LOGIN_SHELL
    managed = replace(request, environment={**(tools or {}), **request.environment})
    async with AsyncExitStack() as opened:
        process: GuestProcess | None = None
        for program in MISE_PROGRAMS if tools is not None and not is_shell else ():
            managed = replace(managed, argv=through_mise(program, request.argv))
            with suppress(NotFound, Denied):  # no mise, or none that this user may run
                process = await opened.enter_async_context(channel.exec(managed))
                break
        if process is None:
            process = await opened.enter_async_context(channel.exec(managed if is_shell else request))
        yield process


@asynccontextmanager
async def within_time(process: GuestProcess, timeout_s: float | None) -> AsyncIterator[None]:
    """End a program when its time is up: SIGTERM first, then, a little later, raise `TimedOut` out of the block."""
    if timeout_s is None:
        yield
        return
    out_of_time = TimedOut(
        f"the command did not end within {timeout_s:g} s and was ended",
        hint="give it more with --timeout, or run it with --detach",
        status=TIMED_OUT,
    )
    loop = asyncio.get_running_loop()
    timer = loop.call_later(timeout_s, process.signal, signal.SIGTERM)
    try:
        async with asyncio.timeout(timeout_s + LAST_WORDS_S):
            yield
    except TimeoutError:
        raise out_of_time from None
    finally:
        timer.cancel()
    if loop.time() >= timer.when():
        raise out_of_time


def _control(process: GuestProcess, message: ControlMessage) -> None:
    if "signal" in message:
        process.signal(message["signal"])
    if "rows" in message and "columns" in message:
        process.resize(message["rows"], message["columns"])


async def _feed(source: Input, process: GuestProcess) -> None:
    while (data := await source.get()) is not None:
        await process.write(data)
    await process.close_stdin()
