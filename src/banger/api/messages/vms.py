"""VMs as clients see them, and the requests about them."""

from __future__ import annotations

from typing import Literal, NotRequired, TypedDict

from banger.api.messages.errors import ErrorView
from banger.api.messages.stores import LockView

VmState = Literal["creating", "stopped", "starting", "running", "paused", "stopping", "deleting"]


class ReadinessView(TypedDict):
    """A check of a guest's readiness: `kernel`, `agent`, `disks`, `network`, `ssh`.

    `elapsed_s` is null if unknown; `skipped` does not apply or was not waited for, `starting` may still pass by
    itself.
    """

    name: str
    state: Literal["pass", "fail", "starting", "skipped"]
    elapsed_s: float | None
    hint: str


class WorkspaceView(TypedDict):
    """A repository's copy in a VM."""

    guest_path: str
    source: str
    commit: str | None
    branch: str | None


class VmView(TypedDict):
    """One VM as `list` and `show` print it. Sizes in bytes unless the name says otherwise; times in Unix seconds.

    `timings_s` and `checks` are how long each phase of the last start took, and what it waited for.
    """

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
    architecture: str
    ephemeral: bool
    created_at_s: float
    started_at_s: float | None
    workspaces: list[WorkspaceView]
    accelerator: str
    pid: int | None
    restart_needed: list[str]
    ttl_left_s: float | None
    timings_s: dict[str, float]
    checks: list[ReadinessView]


class VmDetail(VmView):
    """What `show` adds: digests, paths on the host, and in `origins` where each value comes from: `flag`, `image`,
    `config`, `host` or `built-in`.
    """

    origins: dict[str, str]

    image_digest: str
    kernel_digest: str
    directory: str
    disk_used_bytes: int
    boot_id: str


class VmTargets(TypedDict):
    """Body of `POST /v1/vms/stop|delete` (progress): which VMs, by name, id or unambiguous id prefix."""

    refs: list[str]


class KillRequest(VmTargets):
    """Body of `POST /v1/vms/kill` (progress): `signal` is a name such as `TERM`."""

    signal: str


class ChangeRequest(VmTargets):
    """Body of `POST /v1/vms/set` (progress). null leaves a value as it is; `ttl_s` 0 means for ever.

    A new `name` is for one VM.
    """

    name: str | None
    vcpu: int | None
    memory_mib: int | None
    disk_bytes: int | None
    nat: bool | None
    ttl_s: float | None


class SpecRequest(TypedDict):
    """What a new VM is to be; null means the default, also of `nat`. `ttl_s` 0 means for ever.

    `platform`: which one of the image's, such as `linux/arm64`; this computer's own by default, if there is one.
    `lock`: exactly this image and kernel, instead of `image`, `platform` and `kernel`.
    `wait`: how ready it has to be, the agent by default.
    """

    name: str | None
    image: str | None
    platform: NotRequired[str | None]
    kernel: NotRequired[str | None]
    lock: NotRequired[LockView | None]
    vcpu: int | None
    memory_mib: int | None
    disk_bytes: int | None
    nat: bool | None
    ttl_s: float | None
    wait: NotRequired[Literal["agent", "ssh"]]


class CreateRequest(SpecRequest):
    """Body of `POST /v1/vms/create` (progress). `start` also boots the VM."""

    start: bool


class StartRequest(TypedDict):
    """Body of `POST /v1/vms/start` (progress). `wait`: how ready they have to be, the agent by default."""

    refs: list[str]
    wait: NotRequired[Literal["agent", "ssh"]]


class TargetOutcome(TypedDict):
    """The outcome for one target, in the order given."""

    ref: str
    vm: VmView | None
    error: ErrorView | None


class TargetsResult(TypedDict):
    """Result of an operation on several VMs."""

    outcomes: list[TargetOutcome]
