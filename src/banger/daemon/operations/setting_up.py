"""What a repository asks to be done in a new VM before it is used: its tools are installed by the guest's mise."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Final

from banger.core.errors import Invalid
from banger.core.untrusted import printable
from banger.daemon.context import Request
from banger.daemon.operations.commands import default_directory
from banger.daemon.operations.jobs import Jobs
from banger.store.records import VmRecord
from banger.workspace.repository import Repository
from banger.workspace.toolchain import HAS_MISE, INSTALL_TOOLS, list_tool_files, mise_environment

SHOWN: Final = ("mise", "install")
_LINE_LIMIT: Final = 4096
_LINES_LIMIT: Final = 10_000  # the rest is in the job's log


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What is asked for; nothing by default."""

    tool_files: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        return not self.tool_files


@dataclass(frozen=True, slots=True, kw_only=True)
class SetUp:
    """What became of it. `failure` is a sentence for people, empty when all went well or goes on behind them."""

    failure: str = ""
    hint: str = ""


async def read_setup(repository: Repository | None, *, wanted: bool, nat: bool) -> Setup:
    """What a repository asks for. Raises `Invalid` when that needs a network and the VM is to have none."""
    if repository is None or not wanted:
        return Setup()
    setup = Setup(tool_files=await list_tool_files(repository.top))
    if setup.tool_files and not nat:
        raise Invalid(
            f"the tools of {setup.tool_files[0]} cannot be installed in a VM without a network",
            hint="--nat gives it one, and --no-bootstrap leaves the tools out",
        )
    return setup


class SetUpVm:
    """Does it, as a job of the guest."""

    def __init__(self, *, jobs: Jobs) -> None:
        self._jobs = jobs

    async def __call__(
        self,
        request: Request,
        record: VmRecord,
        setup: Setup,
        environment: Mapping[str, str],
        *,
        wait: bool,
        kept: bool,
    ) -> SetUp:
        """Begin it, and with `wait` show what it says until it is done. `kept`: the VM stays in any case."""
        if setup.is_empty:
            return SetUp()
        what = f"the tools of {' and '.join(setup.tool_files)}"
        status = await self._jobs.ask(record, HAS_MISE, environment)
        if status != 0:
            request.notice(
                f"{what} are not installed: image {printable(record.spec.image, limit=80)} has no mise."
                " Use --image debian-dev, or --no-bootstrap"
            )
            return SetUp()
        directory = default_directory(record)
        job = await self._jobs.begin_in(
            record,
            INSTALL_TOOLS,
            cwd=directory,
            user=None,
            environment={**mise_environment(directory, network=True), **environment},
            shown=SHOWN,
            through_mise=False,
        )
        number, name = job["job"], record.name
        if not wait:
            request.notice(f"{what} are being installed: `banger vm jobs logs {name} {number} -f` shows how")
            return SetUp()
        text = f"installing {what}"
        request.report({"event": "stage", "stage": "tools", "text": text, "state": "begin"})
        await self._show(request, self._jobs.follow(record, number))
        ended = await self._jobs.wait(record, number)
        request.report({"event": "stage", "stage": "tools", "text": text, "state": "end"})
        if ended["status"] == 0:
            return SetUp()
        return SetUp(
            failure=f"{what} could not be installed: mise ended with status {ended['status']}",
            hint=f"`banger vm jobs logs {name} {number}` shows why, and --no-bootstrap leaves the tools out"
            if kept
            else "--no-bootstrap leaves the tools out",
        )

    async def _show(self, request: Request, output: AsyncIterator[bytes]) -> None:
        rest, shown = b"", 0
        async for data in output:
            *lines, rest = (rest + data.replace(b"\r", b"\n")).split(b"\n")
            if len(rest) > _LINE_LIMIT:
                lines, rest = [*lines, rest], b""
            for line in lines:
                if line.strip() and shown < _LINES_LIMIT:
                    shown += 1
                    request.report({"event": "log", "text": printable(line, limit=_LINE_LIMIT)})
        if rest.strip():
            request.report({"event": "log", "text": printable(rest, limit=_LINE_LIMIT)})
