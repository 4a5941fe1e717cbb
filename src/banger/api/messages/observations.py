"""Observations of VMs, which change nothing."""

from __future__ import annotations

from typing import Literal, NotRequired, TypedDict

from banger.api.messages.errors import ErrorView
from banger.api.messages.vms import ReadinessView, VmDetail, VmState


class PortView(TypedDict):
    """A socket that listens in a guest. `url` where a web server answers, as programs in the guest call it."""

    protocol: Literal["tcp", "udp"]
    address: str
    port: int
    pid: int | None
    process: str
    url: str | None


class GuestStats(TypedDict):
    """What a guest reports about itself."""

    load: list[float]
    uptime_s: float
    memory_total_bytes: int
    memory_available_bytes: int
    root_total_bytes: int
    root_free_bytes: int
    processes: int
    kernel: str


class VmStats(TypedDict):
    """What a VM costs this computer: processor time and memory of its VMM, memory of its network process, disk; and
    bytes of Ethernet frames that its guest sent and received since its start, counted on this computer.

    null for what does not run. `guest` is null, with a `problem`, if the guest does not answer.
    """

    state: VmState
    cpu_s: float | None
    rss_bytes: int | None
    network_rss_bytes: int | None
    network_sent_bytes: int | None
    network_received_bytes: int | None
    disk_bytes: int
    disk_used_bytes: int
    guest: GuestStats | None
    problem: str


class ObservationsRequest(TypedDict):
    """Body of `POST /v1/vms/show|health|stats|ports|ping` (plain): which VMs; for `stats` none means all."""

    refs: list[str]


class Observation(TypedDict):
    """What was seen of one target, in the order given; other members depend on the request.

    `round_trip_s`: how long the agent took to answer.
    """

    ref: str
    name: str | None
    error: ErrorView | None
    vm: NotRequired[VmDetail]
    checks: NotRequired[list[ReadinessView]]
    stats: NotRequired[VmStats]
    ports: NotRequired[list[PortView]]
    round_trip_s: NotRequired[float]
