"""What is said on the socket. Bodies are JSON; the daemon decodes requests into these very types, strictly.

HTTP/1.1 on a Unix socket. Three shapes of exchange:

* plain: JSON in, JSON out;
* progress: JSON in, one JSON object a line out (NDJSON): any number of `Event`, then one `{"result": ...}` or
  `{"error": ...}`;
* stream: framed bytes both ways at once (see `banger.api.framing`).

Hanging up cancels the request. Every request carries the header `Banger-Api` with `API_VERSION`.
"""

from __future__ import annotations

from banger.api.messages.commands import ControlMessage, ExecRequest, ExitResult, PtySize, RunRequest
from banger.api.messages.errors import ErrorView
from banger.api.messages.events import (
    Event,
    ForwardEvent,
    NoticeEvent,
    ReadyEvent,
    StageEvent,
    VmEvent,
)
from banger.api.messages.guests import (
    ConnectRequest,
    CopyRequest,
    CopyResult,
    ForwardMapping,
    ForwardRequest,
    LogsRequest,
    SshPlan,
)
from banger.api.messages.host import CheckView, DoctorResult, Ping
from banger.api.messages.observations import (
    GuestStats,
    Observation,
    ObservationsRequest,
    PortView,
    VmStats,
)
from banger.api.messages.stores import (
    AvailableResult,
    AvailableView,
    BuildRequest,
    CatalogueView,
    ImageDetail,
    ImageView,
    ImportRequest,
    KernelDetail,
    KernelImportRequest,
    KernelPullRequest,
    KernelView,
    LayerView,
    LockRequest,
    LockView,
    NameOutcome,
    NamesRequest,
    NamesResult,
    PackageView,
    PinView,
    PromoteRequest,
    ProvenanceView,
    PruneRequest,
    PruneResult,
    PullRequest,
    RegisterRequest,
    SaveRequest,
)
from banger.api.messages.system import DiskUsage, LeaksResult, LeakView, OwnUsage, SharedUsage
from banger.api.messages.vms import (
    ChangeRequest,
    CreateRequest,
    KillRequest,
    ReadinessView,
    SpecRequest,
    StartRequest,
    TargetOutcome,
    TargetsResult,
    VmDetail,
    VmState,
    VmTargets,
    VmView,
    WorkspaceView,
)
from banger.api.messages.workspaces import (
    ExportedFile,
    ExportRequest,
    ExportResult,
    PrepareRequest,
    PrepareResult,
)
from banger.api.version import API_VERSION, VERSION_HEADER

__all__ = [
    "API_VERSION",
    "VERSION_HEADER",
    "AvailableResult",
    "AvailableView",
    "BuildRequest",
    "CatalogueView",
    "ChangeRequest",
    "CheckView",
    "ConnectRequest",
    "ControlMessage",
    "CopyRequest",
    "CopyResult",
    "CreateRequest",
    "DiskUsage",
    "DoctorResult",
    "ErrorView",
    "Event",
    "ExecRequest",
    "ExitResult",
    "ExportRequest",
    "ExportResult",
    "ExportedFile",
    "ForwardEvent",
    "ForwardMapping",
    "ForwardRequest",
    "GuestStats",
    "ImageDetail",
    "ImageView",
    "ImportRequest",
    "KernelDetail",
    "KernelImportRequest",
    "KernelPullRequest",
    "KernelView",
    "KillRequest",
    "LayerView",
    "LeakView",
    "LeaksResult",
    "LockRequest",
    "LockView",
    "LogsRequest",
    "NameOutcome",
    "NamesRequest",
    "NamesResult",
    "NoticeEvent",
    "Observation",
    "ObservationsRequest",
    "OwnUsage",
    "PackageView",
    "PinView",
    "Ping",
    "PortView",
    "PrepareRequest",
    "PrepareResult",
    "PromoteRequest",
    "ProvenanceView",
    "PruneRequest",
    "PruneResult",
    "PtySize",
    "PullRequest",
    "ReadinessView",
    "ReadyEvent",
    "RegisterRequest",
    "RunRequest",
    "SaveRequest",
    "SharedUsage",
    "SpecRequest",
    "SshPlan",
    "StageEvent",
    "StartRequest",
    "TargetOutcome",
    "TargetsResult",
    "VmDetail",
    "VmEvent",
    "VmState",
    "VmStats",
    "VmTargets",
    "VmView",
    "WorkspaceView",
]
