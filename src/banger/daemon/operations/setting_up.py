"""What a repository wants done in a new VM before use, according to its tool files and its devcontainer.json."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from banger.api.messages import RunRequest
from banger.core.errors import Invalid
from banger.core.untrusted import printable
from banger.core.vm import VmSpec
from banger.daemon.context import Request
from banger.daemon.operations.commands import LOGIN_SHELL, default_directory
from banger.daemon.operations.jobs import Jobs
from banger.store.records import VmRecord
from banger.workspace.devcontainer import DevContainer, find_devcontainer, join_commands, usual_place
from banger.workspace.repository import Repository
from banger.workspace.toolchain import HAS_MISE, list_tool_files, mise_environment, plan_set_up

_LINE_LIMIT: Final = 4096
_LINES_LIMIT: Final = 10_000  # the rest is in the job's log


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What is asked for; nothing by default."""

    tool_files: tuple[str, ...] = ()
    container: DevContainer | None = None
    guest_path: str | None = None
    """Where the workspace is to be; None: where workspaces are otherwise."""

    def choose_image(self, asked: RunRequest) -> str | None:
        """The image to boot: the user's choice, else the file's."""
        given = asked["image"] is not None or asked.get("lock") is not None
        return asked["image"] if given or self.container is None else self.container.image or None

    def complete(self, spec: VmSpec) -> VmSpec:
        """The spec with what the file sets."""
        if self.container is None:
            return spec
        variables, user = self.container.environment, self.container.user
        return replace(spec, environment=variables, user=user, runs_entrypoint=False)

    def choose_command(self, usual: Sequence[str]) -> Sequence[str]:
        """The default command: a shell if there is a devcontainer.json, because such a container is for working in."""
        return usual if self.container is None else LOGIN_SHELL

    def tell(self, request: Request) -> None:
        """Report what the file sets, and what of it is ignored."""
        if (container := self.container) is None:
            return
        parts = [f"image {printable(container.image, limit=200)}"] if container.image else []
        parts += [f"user {container.user}"] if container.user else []
        parts += [f"variables {', '.join(container.environment)}"] if container.environment else []
        request.notice(f"{container.file} decides on {' and '.join(parts) or 'nothing'} (--no-bootstrap ignores it)")
        if container.ignored:
            request.notice(f"{container.file}: ignoring {', '.join(container.ignored)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class SetUp:
    """The outcome. `failure` is a sentence for the user, empty when all went well or is still running."""

    failure: str = ""
    hint: str = ""


async def read_setup(repository: Repository | None, guest_path: str | None, *, wanted: bool, nat: bool) -> Setup:
    """Read what a repository asks for. `guest_path` is the place that the user chose, if any.

    Raises `Invalid` when it needs a network and the VM is to have none, `Unsupported` for what a VM cannot be given.
    """
    if repository is None or not wanted:
        return Setup(guest_path=guest_path)
    include_untracked = repository.choice.include_untracked
    tool_files = await list_tool_files(repository.top, include_untracked=include_untracked)
    if tool_files and not nat:
        raise Invalid(
            f"the tools of {tool_files[0]} cannot be installed in a VM without a network",
            hint="--nat gives it one, and --no-bootstrap leaves the tools out",
        )
    place = usual_place(repository.top)
    container = await find_devcontainer(
        repository.top, usual=place, chosen=guest_path, include_untracked=include_untracked
    )
    guest_path = container.guest_path if container is not None else guest_path
    return Setup(tool_files=tool_files, container=container, guest_path=guest_path)


class SetUpVm:
    """Runs it as a job of the guest."""

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
        """Begin it, and with `wait` show its output until it is done. `kept`: the VM stays in any case."""
        container = setup.container
        if container is not None and container.ports:
            ports = " ".join(map(str, container.ports))
            request.notice(
                f"{container.file}: `banger vm forward {record.name} {ports}` reaches the ports that it names"
            )
        tools = bool(setup.tool_files) and await self._has_mise(request, record, setup, environment)
        commands = container.commands if container is not None else ()
        if not tools and not commands:
            return SetUp()
        parts = [f"the tools of {' and '.join(setup.tool_files)}"] if tools else []
        parts += [f"the commands of {container.file}"] if container is not None and commands else []
        return await self._run(
            request, record, (tools, commands), " and ".join(parts), environment, wait=wait, kept=kept
        )

    async def _has_mise(self, request: Request, record: VmRecord, setup: Setup, environment: Mapping[str, str]) -> bool:
        found = await self._jobs.ask(record, HAS_MISE, environment) == 0
        if not found:
            request.notice(
                f"the tools of {' and '.join(setup.tool_files)} are not installed: image"
                f" {printable(record.spec.image, limit=80)} has no mise. Use --image debian-dev, or --no-bootstrap"
            )
        return found

    async def _run(
        self,
        request: Request,
        record: VmRecord,
        work: tuple[bool, tuple[tuple[str, ...], ...]],
        what: str,
        environment: Mapping[str, str],
        *,
        wait: bool,
        kept: bool,
    ) -> SetUp:
        tools, commands = work
        directory = default_directory(record)
        shown = (["mise", "install"] if tools else []) + [word for command in commands for word in command]
        job = await self._jobs.begin_in(
            record,
            plan_set_up(tools=tools, command=join_commands(commands) if commands else ()),
            cwd=directory,
            user=record.spec.user or None,
            environment={**mise_environment(directory, network=record.spec.nat), **environment},
            shown=shown,
            through_mise=False,
        )
        number, name = job["job"], record.name
        if not wait:
            request.notice(f"{what} run in the background: `banger vm jobs logs {name} {number} -f` shows how")
            return SetUp()
        text = f"running {what}" if commands else f"installing {what}"
        request.report({"event": "stage", "stage": "setup", "text": text, "state": "begin"})
        await self._show(request, self._jobs.follow(record, number))
        ended = await self._jobs.wait(record, number)
        request.report({"event": "stage", "stage": "setup", "text": text, "state": "end"})
        if ended["status"] == 0:
            return SetUp()
        return SetUp(
            failure=f"{what} failed with status {ended['status']}",
            hint=f"`banger vm jobs logs {name} {number}` shows why, and --no-bootstrap leaves them out"
            if kept
            else "--no-bootstrap leaves them out",
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
