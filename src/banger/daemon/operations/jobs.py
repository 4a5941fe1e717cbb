"""Jobs, commands that outlive their client: begun, listed, followed, awaited and ended in the guest."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Final

from banger.api.messages import ExitResult, JobLogsRequest, JobRequest, JobView
from banger.core.clock import Clock
from banger.core.commands import TOTAL_LIMIT_BYTES, check_command
from banger.core.errors import BangerError, Failed, Invalid, NotFound, Unsupported, WrongState
from banger.core.sizes import format_size
from banger.core.untrusted import printable
from banger.daemon.context import Request
from banger.daemon.operations.commands import (
    GUEST_PATH,
    default_user,
    find_workspace,
    plan_tools,
    resolve_directory,
    usual_environment,
)
from banger.daemon.operations.plan import PlanVm
from banger.daemon.operations.up_to_date import UpToDate
from banger.daemon.streams import StreamExchange
from banger.daemon.supervisor import Supervisor
from banger.guest.channel import Channel
from banger.guest.jobs import (
    JOBS_LIMIT,
    LIST_LIMIT_BYTES,
    LOG_LIMIT_BYTES,
    NUMBER_LIMIT,
    About,
    Job,
    new_job,
    parse_jobs,
    parse_number,
    script,
    supervised,
)
from banger.guest.process import ExecRequest
from banger.guest.streams import within
from banger.store.records import VmRecord
from banger.workspace.toolchain import MISE_PROGRAMS

ANSWER_DEADLINE_S: Final = 60.0
_SCRIPT_BYTES: Final = 16384  # more than the scripts that go with the command
_SAID_LIMIT: Final = 400
_NOT_RUNNING: Final = 3  # what `kill` of the script says
_SIGNALS: Final = ("TERM", "KILL", "INT", "HUP", "QUIT", "USR1", "USR2", "STOP", "CONT")


class Jobs:
    """What `vm exec --detach` and `vm jobs` do. Jobs are recorded in the guest: they outlive the daemon, not the VM."""

    def __init__(self, *, supervisor: Supervisor, plan: PlanVm, up_to_date: UpToDate, clock: Clock) -> None:
        self._supervisor = supervisor
        self._plan = plan
        self._up_to_date = up_to_date
        self._clock = clock

    async def begin(self, request: Request, record: VmRecord, asked: JobRequest) -> JobView:
        """Begin a job. Raises `Invalid` for a directory or a user that the guest does not have."""
        image = self._plan.image(record.spec)
        cwd = resolve_directory(record, image, asked["cwd"])
        workspace = find_workspace(record, cwd)
        if asked.get("prepare"):
            await self._up_to_date.bring(request, record, workspace)
        else:
            await self._up_to_date.tell(request, record, workspace)
        environment = usual_environment(record.spec, image, asked["environment"])
        user = asked["user"] or default_user(record, image)
        return await self.begin_in(
            record, asked["command"], cwd=cwd, user=user, environment=environment, limit_s=asked.get("timeout_s")
        )

    async def begin_in(
        self,
        record: VmRecord,
        command: Sequence[str],
        *,
        cwd: str,
        user: str | None,
        environment: Mapping[str, str],
        shown: Sequence[str] | None = None,
        through_mise: bool = True,
        limit_s: float | None = None,
    ) -> JobView:
        """Begin a job with everything resolved. `shown` is the command as it is shown to people."""
        channel = self._supervisor.channel(record.id, record.name)
        check_command(command, environment)
        check_room_for_script(command, environment)
        tools = plan_tools(record, cwd) if through_mise else None
        about = About(command=tuple(shown or command), cwd=cwd, user=user, began_s=self._clock.now_s())
        made = await _ask(channel, new_job(about, user or "0"))
        number = parse_number(made.output)
        if made.status != 0 or number is None:
            raise Failed(f"the guest cannot keep a job's files: {made.said}", hint="is its disk full?")
        programs = MISE_PROGRAMS if tools is not None else ()
        argv = supervised(number, command, programs=programs, limit_s=limit_s)
        began = ExecRequest(argv=argv, environment={**(tools or {}), **environment}, cwd=cwd, user=user)
        try:
            begun = await _ask_in(channel, began)
            said_so = begun.output == b"begun\n"  # which a slow guest does too late to be heard
            if not said_so and (await _ask(channel, script("begun", number))).status != 0:
                raise Failed(f"the guest did not begin the job: {begun.said}", hint="is its disk full?")
        except BaseException as error:
            await _ask(channel, script("forget", number))
            if isinstance(error, NotFound):
                raise Unsupported(
                    "the guest has no setsid, which a job needs", hint="leave --detach out, or install util-linux"
                ) from error
            raise
        return view_job(Job(number=number, state="running", about=about))

    async def ask(self, record: VmRecord, argv: Sequence[str], environment: Mapping[str, str]) -> int:
        """Run a short command in the guest; its status."""
        channel = self._supervisor.channel(record.id, record.name)
        return (await _ask_in(channel, ExecRequest(argv=argv, environment=environment))).status

    async def list(self, record: VmRecord) -> list[JobView]:
        """The newest jobs, by number."""
        return [view_job(job) for job in await self._jobs(record)]

    async def logs(self, record: VmRecord, number: int, asked: JobLogsRequest, exchange: StreamExchange) -> ExitResult:
        """Send the output of a job, and with `follow` its further output until it ends."""
        job = await self.find(record, number)
        arguments = ("yes" if asked["follow"] else "", "" if asked["tail"] is None else str(asked["tail"]))
        channel = self._supervisor.channel(record.id, record.name)
        if job.dropped_bytes and asked["tail"] is None:
            dropped, kept = format_size(job.dropped_bytes), format_size(LOG_LIMIT_BYTES)
            said = f"the first {dropped} of this log are not kept: a job keeps the newest {kept} at most\n"
            await exchange.send_output(said.encode(), error=True)
        async with channel.exec(_as_owner(job, script("logs", number, *arguments))) as process:
            while (chunk := await process.read()) is not None:
                await exchange.send_output(chunk.data, error=chunk.channel == 1)
            await process.wait()
        return {"status": 0, "signal": None, "vm": None}

    async def follow(self, record: VmRecord, number: int) -> AsyncIterator[bytes]:
        """The output of a job, until it ends."""
        job = await self.find(record, number)
        channel = self._supervisor.channel(record.id, record.name)
        async with channel.exec(_as_owner(job, script("logs", number, "yes", ""))) as process:
            while (chunk := await process.read()) is not None:
                yield chunk.data
            await process.wait()

    async def wait(self, record: VmRecord, number: int) -> JobView:
        """Wait for the end of a job. Raises `Failed` if it is not known how it ended."""
        await self.find(record, number)
        channel = self._supervisor.channel(record.id, record.name)
        async with channel.exec(ExecRequest(argv=script("wait", number), environment=_OURS)) as process:
            await process.wait()
        job = await self.find(record, number)
        if job.state == "lost":
            raise Failed(
                f"it is not known how job {number} of {record.name} ended", hint="was the VM restarted meanwhile?"
            )
        return view_job(job)

    async def kill(self, record: VmRecord, number: int, signal_name: str) -> JobView:
        """Send a signal to a job and everything that it started. Raises `WrongState` when it has ended."""
        name = parse_job_signal(signal_name)
        job = await self.find(record, number)
        channel = self._supervisor.channel(record.id, record.name)
        done = await _ask_in(channel, _as_owner(job, script("kill", number, name)))
        hint = f"`banger vm jobs list {record.name}` shows what became of it"
        if done.status == _NOT_RUNNING:
            raise WrongState(f"job {number} of {record.name} is no longer running", hint=hint)
        if done.status != 0:
            raise Failed(f"job {number} of {record.name} cannot be sent {name}: {done.said}", hint=hint)
        return view_job(await self.find(record, number))

    async def find(self, record: VmRecord, number: int) -> Job:
        """One job. Raises `NotFound`."""
        for job in await self._jobs(record):
            if job.number == number:
                return job
        raise NotFound(
            f"{record.name} has no job {number}", hint=f"`banger vm jobs list {record.name}` shows those it has"
        )

    async def _jobs(self, record: VmRecord) -> Sequence[Job]:
        return await list_jobs(self._supervisor.channel(record.id, record.name))


async def list_jobs(channel: Channel) -> Sequence[Job]:
    """The newest jobs of a guest, by number."""
    said = await _ask(channel, script("list", None, str(JOBS_LIMIT)))
    return parse_jobs(said.output)


async def is_any_running(supervisor: Supervisor, record: VmRecord) -> bool:
    """Whether a job runs in a VM; False if that cannot be found out."""
    try:
        jobs = await list_jobs(supervisor.channel(record.id, record.name))
    except BangerError:
        return False
    return any(job.state == "running" for job in jobs)


_OURS: Final[Mapping[str, str]] = {"PATH": GUEST_PATH, "LC_ALL": "C"}


class _Answer:
    def __init__(self, output: bytes, errors: bytes, status: int) -> None:
        self.output = output
        self.said = printable(errors.strip() or b"no reason given", limit=_SAID_LIMIT)
        self.status = status


async def _ask(channel: Channel, argv: Sequence[str]) -> _Answer:
    return await _ask_in(channel, ExecRequest(argv=argv, environment=_OURS))


async def _ask_in(channel: Channel, request: ExecRequest) -> _Answer:
    """Run a program in the guest; its status and bounded output. Raises `TimedOut`."""
    said = (bytearray(), bytearray())
    async with within(ANSWER_DEADLINE_S, "answer about its jobs"), channel.exec(request) as process:
        while (chunk := await process.read()) is not None:
            room = LIST_LIMIT_BYTES - len(said[chunk.channel])
            said[chunk.channel].extend(chunk.data[:room])
        ended = await process.wait()
    return _Answer(bytes(said[0]), bytes(said[1]), 128 + ended.signal if ended.signal else ended.code or 0)


def _as_owner(job: Job, argv: Sequence[str]) -> ExecRequest:
    """The request to read or signal a job, run as the job's owner, with no more rights than that."""
    return ExecRequest(argv=argv, environment=_OURS, user=job.about.user)


def check_room_for_script(command: Sequence[str], environment: Mapping[str, str]) -> None:
    """Raise `Invalid` for a command that is too long for a job."""
    words = (*command, *(f"{name}={value}" for name, value in environment.items()))
    if sum(len(word.encode("utf-8", "surrogateescape")) + 5 for word in words) > TOTAL_LIMIT_BYTES - _SCRIPT_BYTES:
        raise Invalid("the command is too long for a job", hint="put it into a script in the workspace")


def parse_job_signal(text: str) -> str:
    """The name of a signal without SIG, from its name or number. Raises `Invalid`."""
    word = text.upper().removeprefix("SIG")
    for name in _SIGNALS:
        if word in (name, str(int(signal.Signals[f"SIG{name}"]))):
            return name
    raise Invalid(f"{ascii(text)} is not a signal for a job", hint="use one of " + ", ".join(_SIGNALS))


def parse_job_number(text: str) -> int:
    """A job's number from a path of the API. Raises `Invalid`."""
    if not (text.isascii() and text.isdecimal()) or len(text) > 6 or not 0 < int(text) < NUMBER_LIMIT:
        raise Invalid(f"{ascii(text[:40])} is not the number of a job", hint="`banger vm jobs list VM` shows them")
    return int(text)


def view_job(job: Job) -> JobView:
    """A job as clients see it."""
    return {
        "job": job.number,
        "state": job.state,
        "status": job.status,
        "command": list(job.about.command),
        "cwd": job.about.cwd,
        "user": job.about.user or "root",
        "began_at_s": job.about.began_s,
        "ended_at_s": job.ended_s,
        "log_bytes": job.log_bytes,
        "log_dropped_bytes": job.dropped_bytes,
    }
