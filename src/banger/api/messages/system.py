"""Everything that banger has on this computer, and its leftovers."""

from __future__ import annotations

from typing import Literal, TypedDict

from banger.api.messages.vms import VmState


class SharedUsage(TypedDict):
    """Something that VMs share, and how many VMs need it."""

    kind: Literal["image", "kernel", "template", "other"]
    name: str
    bytes: int
    vms: int


class OwnUsage(TypedDict):
    """What one VM has for itself."""

    id: str
    name: str
    state: VmState
    disk_bytes: int
    logs_bytes: int
    other_bytes: int
    total_bytes: int


class DiskUsage(TypedDict):
    """Answer of `GET /v1/system/df`: bytes allocated on the disk, not sizes of files.

    `floor_bytes`: below so much free space no VM is made or started.
    """

    shared: list[SharedUsage]
    vms: list[OwnUsage]
    shared_bytes: int
    own_bytes: int
    free_bytes: int
    floor_bytes: int


class LeakView(TypedDict):
    """A leftover of banger."""

    kind: str
    what: str
    why: str


class LeaksResult(TypedDict):
    """Answer of `GET /v1/system/leaks`."""

    leaks: list[LeakView]
