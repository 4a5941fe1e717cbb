"""What is said on the socket. Bodies are JSON; the daemon decodes requests into these very types, strictly.

HTTP/1.1 on a Unix socket. Three shapes of exchange:

* plain: JSON in, JSON out;
* progress: JSON in, one JSON object a line out (NDJSON): any number of `Event`, then one `{"result": ...}` or
  `{"error": ...}`;
* stream: framed bytes both ways at once (see `banger.api.framing`).

Hanging up cancels the request. Every request carries the header `Banger-Api` with `API_VERSION`.
"""

from __future__ import annotations

from typing import Literal, NotRequired, TypedDict

from banger.api.version import API_VERSION as API_VERSION  # noqa: PLC0414 - part of this contract
from banger.api.version import VERSION_HEADER as VERSION_HEADER  # noqa: PLC0414 - as above

VmState = Literal["creating", "stopped", "starting", "running", "stopping", "deleting"]


class WorkspaceView(TypedDict):
    """A repository's copy in a VM."""

    guest_path: str
    source: str
    commit: str | None
    branch: str | None


class VmView(TypedDict):
    """One VM as `list` and `show` tell it. Sizes in bytes unless the name says otherwise; times in Unix seconds."""

    id: str
    name: str
    state: VmState
    problem: str
    image: str
    kernel: str
    vcpu: int
    memory_mib: int
    disk_bytes: int
    nat: bool
    ephemeral: bool
    created_at_s: float
    started_at_s: float | None
    workspaces: list[WorkspaceView]
    accelerator: str
    pid: int | None


class VmDetail(VmView):
    """What `show` adds: digests, paths on the host and how long each phase of the last start took."""

    image_digest: str
    kernel_digest: str
    directory: str
    disk_used_bytes: int
    boot_id: str
    timings_s: dict[str, float]


class Ping(TypedDict):
    """Answer of `GET /v1/ping`."""

    version: str
    api_version: int
    pid: int
    started_at_s: float
    vms_running: int


class ErrorView(TypedDict):
    """A failed request. `kind` is from the closed list in `banger.core.errors`."""

    kind: str
    summary: str
    hint: str
    operation: str
    data: NotRequired[dict[str, str | int | float | bool | None]]


class StageEvent(TypedDict):
    """A named stage began, moved or ended. `done` and `total` are in `unit` when known."""

    event: Literal["stage"]
    stage: str
    text: str
    state: Literal["begin", "progress", "end"]
    done: NotRequired[int]
    total: NotRequired[int]
    unit: NotRequired[Literal["bytes", "files", "packages"]]
    elapsed_s: NotRequired[float]


class NoticeEvent(TypedDict):
    """One line that the user should see: a fallback and its reason, untracked files left behind."""

    event: Literal["notice"]
    text: str


class VmEvent(TypedDict):
    """The VM exists now under this id and name. Sent once by `run`."""

    event: Literal["vm"]
    vm: VmView


class ReadyEvent(TypedDict):
    """The VM is ready and the command or shell starts now."""

    event: Literal["ready"]
    elapsed_s: float


Event = StageEvent | NoticeEvent | VmEvent | ReadyEvent


class PtySize(TypedDict):
    """A terminal's size in characters."""

    rows: int
    columns: int


class RunRequest(TypedDict):
    """First frame of `POST /v1/vms/run` (stream): make a VM, put the repository in, run or attach.

    `path` null means: no workspace. `command` null means: an interactive login shell (needs `pty`), or nothing at all
    when `detach` is set. Sizes null mean the default.
    """

    name: str | None
    path: str | None
    image: str | None
    vcpu: int | None
    memory_mib: int | None
    disk_bytes: int | None
    nat: bool
    ephemeral: bool
    detach: bool
    command: list[str] | None
    pty: PtySize | None
    stdin: bool
    environment: dict[str, str]


class ExecRequest(TypedDict):
    """First frame of `POST /v1/vms/{ref}/exec` (stream). `command` null means a login shell.

    `cwd` null means the workspace, or the user's home where there is none.
    """

    command: list[str] | None
    environment: dict[str, str]
    cwd: str | None
    user: str | None
    pty: PtySize | None
    stdin: bool


class ConnectRequest(TypedDict):
    """First frame of `POST /v1/vms/{ref}/connect` (stream): a TCP connection to a guest port.

    `wait_s`: keep trying a refused connection for so long (a server may still be starting).
    """

    port: int
    wait_s: float


class ExportRequest(TypedDict):
    """First frame of `POST /v1/vms/{ref}/workspace/export` (stream); the patch comes as output frames."""

    guest_path: str | None
    base_commit: str | None


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


class ExportedFile(TypedDict):
    """One file of an exported patch."""

    path: str
    change: str
    binary: bool


class ExportResult(TypedDict):
    """What an exported patch contains."""

    files: list[ExportedFile]
    additions: int
    deletions: int
    size_bytes: int
    base_commit: str


class VmTargets(TypedDict):
    """Body of `POST /v1/vms/start|stop|delete` (progress): which VMs, by name, id or unambiguous id prefix."""

    refs: list[str]


class TargetOutcome(TypedDict):
    """What became of one target, in the order given."""

    ref: str
    vm: VmView | None
    error: ErrorView | None


class TargetsResult(TypedDict):
    """Result of an operation on several VMs."""

    outcomes: list[TargetOutcome]


class SshPlan(TypedDict):
    """Answer of `GET /v1/vms/{ref}/ssh`: what the system's ssh needs; options as `-o` values."""

    vm: VmView
    user: str
    host_alias: str
    options: list[str]


class ImageView(TypedDict):
    """An image in the store."""

    name: str
    digest: str
    architecture: str
    size_bytes: int
    init: str | None
    created_at_s: float
    source: str


class KernelView(TypedDict):
    """A kernel in the store."""

    name: str
    digest: str
    architecture: str
    release: str
    size_bytes: int
    created_at_s: float
    source: str


class PullRequest(TypedDict):
    """Body of `POST /v1/images/pull` (progress): make or fetch the named image and the default kernel."""

    name: str


class ImportRequest(TypedDict):
    """Body of `POST /v1/images/import` (progress): a root file system tar at an absolute host path."""

    name: str
    path: str


class CheckView(TypedDict):
    """One line of `banger doctor`."""

    id: str
    title: str
    level: Literal["pass", "warn", "fail"]
    text: str
    fix: str


class DoctorResult(TypedDict):
    """Result of `POST /v1/doctor` (progress)."""

    checks: list[CheckView]
