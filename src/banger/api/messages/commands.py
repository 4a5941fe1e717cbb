"""Commands in guests, and the streams and terminals that they get."""

from __future__ import annotations

from typing import NotRequired, TypedDict

from banger.api.messages.vms import SpecRequest, VmView
from banger.api.messages.workspaces import WorkspaceOptions


class PtySize(TypedDict):
    """A terminal's size in characters."""

    rows: int
    columns: int


class RunRequest(SpecRequest, WorkspaceOptions):
    """First frame of `POST /v1/vms/run` (stream): make a VM, put the repository in, run or attach.

    `path` null means: no workspace. `command` null means: an interactive login shell (needs `pty`), or nothing at all
    when `detach` is set. `bootstrap` false: do nothing that the repository asks for, such as installing its tools.
    """

    path: str | None
    ephemeral: bool
    detach: bool
    command: list[str] | None
    pty: PtySize | None
    stdin: bool
    environment: dict[str, str]
    bootstrap: NotRequired[bool]


class ExecRequest(TypedDict):
    """First frame of `POST /v1/vms/{ref}/exec` (stream). `command` null means a login shell.

    `cwd` null means the workspace, or the user's home where there is none; a relative one begins there.
    `timeout_s`: end it after so long. `prepare`: bring the workspace up to date first; an event `ready` tells when.
    """

    command: list[str] | None
    environment: dict[str, str]
    cwd: str | None
    user: str | None
    pty: PtySize | None
    stdin: bool
    timeout_s: NotRequired[float | None]
    prepare: NotRequired[bool]


class ControlMessage(TypedDict, total=False):
    """A signal (its number) or a new size for the running command."""

    signal: int
    rows: int
    columns: int


class ExitResult(TypedDict):
    """How a command ended: `status` 0 to 255, or 128 + `signal` when a signal ended it (then `signal` is set)."""

    status: int
    signal: int | None
    vm: VmView | None
