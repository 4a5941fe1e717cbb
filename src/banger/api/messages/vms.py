"""VMs as clients see them, and the requests about them."""

from __future__ import annotations

from typing import Literal, TypedDict

from banger.api.messages.errors import ErrorView

VmState = Literal["creating", "stopped", "starting", "running", "paused", "stopping", "deleting"]


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
