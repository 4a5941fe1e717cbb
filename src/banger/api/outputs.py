"""What `--json` prints, command by command: the contract with programs that call banger.

Within one major version documents only grow: a key that is here stays, with its meaning. `schema()` says the same as
JSON Schema, and docs/json-schema.json is that; the command line itself imports nothing of this.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, TypedDict

import msgspec

from banger.api.messages import (
    ApplyResult,
    AvailableResult,
    CheckView,
    CopyResult,
    DiskUsage,
    ErrorView,
    ExportedImage,
    FetchResult,
    ImageDetail,
    ImageView,
    JobsResult,
    JobView,
    KernelDetail,
    KernelView,
    LeaksResult,
    NamesResult,
    Observation,
    Ping,
    PinView,
    PlannedWorkspace,
    PrepareResult,
    PruneResult,
    ReviewResult,
    TargetsResult,
    VmDetail,
    VmView,
    WorkspaceStatus,
)


class OneOf:
    """A document of one of these types, depending on the options."""

    def __init__(self, *types: Any) -> None:  # noqa: ANN401 - types, and what stands for one
        self.types = types


class ListOf(OneOf):
    """A list with members of these types, if several were asked about."""


class Failure(TypedDict):
    """What every command prints instead when it fails, beside its exit status (see `banger --help`)."""

    error: ErrorView


class VmFailure(TypedDict):
    """One of several VMs that could not be looked at, under the name that the user gave."""

    ref: str
    error: ErrorView


class VmList(TypedDict):
    """All VMs, by name."""

    vms: list[VmView]


class Observations(TypedDict):
    """One for each VM that was asked about, in the order in which they were named."""

    outcomes: list[Observation]


class PingOutput(TypedDict):
    """How long the agent took, each time."""

    name: str
    round_trips_s: list[float]


class LogsOutput(TypedDict):
    """What a console printed; `vm` is the name that the user gave."""

    vm: str
    console: str


class ForwardOutput(TypedDict):
    """One document per line for each port, as soon as it listens."""

    vm: str
    host_address: str
    host_port: int
    guest_port: int


class ImageList(TypedDict):
    """All images in the store, by name."""

    images: list[ImageView]


class KernelList(TypedDict):
    """All kernels in the store, by name."""

    kernels: list[KernelView]


class LockOutput(TypedDict):
    """What was pinned, and in which file."""

    file: str
    image: PinView
    kernel: PinView


class ApplyOutput(TypedDict):
    """A patch as reviewed, and what was changed in the working tree; null if nothing was."""

    review: ReviewResult
    applied: ApplyResult | None


class SettingView(TypedDict):
    """A value in force, and where it comes from."""

    value: Any
    origin: str


class ConfigShow(TypedDict):
    """Every setting. `exists`: whether there is a file."""

    file: str
    exists: bool
    settings: dict[str, SettingView]


class ConfigFile(TypedDict):
    """The configuration file, and whether there is one."""

    file: str
    exists: bool


class DoctorOutput(TypedDict):
    """The checks; with `--fix` as they are afterwards."""

    checks: list[CheckView]


class DoctorFixOutput(DoctorOutput):
    """With `--fix`: the commands that were run."""

    ran: list[list[str]]


class DaemonStatus(TypedDict):
    """The daemon, or null when none runs."""

    running: bool
    daemon: Ping | None
    socket: str
    log: str


class DaemonStop(TypedDict):
    """Whether a daemon was running."""

    stopped: bool
    pid: int | None


class DaemonRestart(TypedDict):
    """The new daemon."""

    daemon: Ping


class ServiceView(TypedDict):
    """The daemon as a service of the user's systemd. `unit` is null if it is not one; `state` is systemd's word."""

    unit: str | None
    enabled: bool
    state: str
    lingering: bool


class SystemStatus(TypedDict):
    """The daemon, or null if none runs; the paths of banger's files, by purpose."""

    daemon: Ping | None
    service: ServiceView
    directories: dict[str, str]
    log: str


class SystemInstall(TypedDict):
    """The unit, whether it was changed, whether it outlives a logout, and the daemon that runs now."""

    unit: str
    changed: bool
    lingering: bool
    daemon: Ping


class SystemUninstall(TypedDict):
    """What was removed."""

    removed: list[str]
    deleted_vms: int


class UpdateOutput(TypedDict):
    """The version before the command, the one that was found, and what was or would be run.

    `command` is null if there is nothing to do.
    """

    current: str
    version: str
    command: list[str] | None
    updated: bool
    daemon_restarted: bool


class SshConfigOutput(TypedDict):
    """The configuration, for `ssh -F`."""

    config: str


class SshInstallOutput(TypedDict):
    """What is included, where, and whether that had to be changed."""

    included: str
    user_file: str
    changed: bool


class ScriptOutput(TypedDict):
    """A shell's script."""

    shell: str
    script: str


class ScriptPlace(TypedDict):
    """Where a shell's script is, or was, and whether that had to be changed."""

    shell: str
    script: str
    changed: bool


class Version(TypedDict):
    """The versions of banger, of the API on its socket, and of Python."""

    version: str
    api_version: int
    python: str


_SEVERAL: Final = MappingProxyType(
    {
        TargetsResult: "start stop restart kill pause resume set rename prune delete",
        Observations: "stats ports health",
    }
)
_MADE_IMAGES: Final = "pull import build save register promote"
OUTPUTS: Final[Mapping[str, Any]] = MappingProxyType(
    {
        **{f"vm {verb}": document for document, verbs in _SEVERAL.items() for verb in verbs.split()},
        **{f"image {verb}": ImageView for verb in _MADE_IMAGES.split()},
        **{f"completion {shell}": ScriptOutput for shell in ("bash", "zsh", "fish")},
        "vm list": VmList,
        "vm show": OneOf(VmDetail, ListOf(VmDetail, VmFailure)),
        "vm ping": OneOf(PingOutput, ListOf(PingOutput, VmFailure)),
        "vm cp": CopyResult,
        "vm forward": ForwardOutput,
        "vm logs": OneOf(LogsOutput, ListOf(LogsOutput, VmFailure)),
        "vm create": VmView,
        "vm run": OneOf(VmView, PlannedWorkspace),
        "vm exec": JobView,
        "vm jobs list": JobsResult,
        "vm jobs wait": JobsResult,
        "vm jobs kill": JobView,
        "vm workspace prepare": OneOf(PrepareResult, PlannedWorkspace),
        "vm workspace status": WorkspaceStatus,
        "vm workspace fetch": FetchResult,
        "vm workspace apply": ApplyOutput,
        "image list": OneOf(ImageList, AvailableResult),
        "image show": OneOf(ImageDetail, dict[str, Any]),
        "image export": ExportedImage,
        "image delete": NamesResult,
        "image cache prune": PruneResult,
        "kernel list": OneOf(KernelList, AvailableResult),
        "kernel pull": KernelView,
        "kernel import": KernelView,
        "kernel show": KernelDetail,
        "kernel rm": NamesResult,
        "lock": LockOutput,
        "config show": ConfigShow,
        "config check": ConfigFile,
        "config path": ConfigFile,
        "system df": DiskUsage,
        "system install": SystemInstall,
        "system status": SystemStatus,
        "system restart": DaemonRestart,
        "system uninstall": SystemUninstall,
        "doctor": OneOf(DoctorOutput, DoctorFixOutput, LeaksResult),
        "daemon status": DaemonStatus,
        "daemon stop": DaemonStop,
        "daemon restart": DaemonRestart,
        "ssh-config": OneOf(SshConfigOutput, SshInstallOutput),
        "completion install": ScriptPlace,
        "completion uninstall": ScriptPlace,
        "update": UpdateOutput,
        "version": Version,
    }
)


def schema() -> dict[str, Any]:
    """One JSON Schema document: `$defs` has what the commands share, `commands` what each of them prints."""
    definitions: dict[str, Any] = {}
    failure = _describe(Failure, definitions)
    commands = {words: _describe(document, definitions) for words, document in sorted(OUTPUTS.items())}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "What banger prints with --json",
        "failure": failure,
        "commands": commands,
        "$defs": dict(sorted(definitions.items())),
    }


def _describe(document: Any, definitions: dict[str, Any]) -> dict[str, Any]:  # noqa: ANN401 - a type
    if isinstance(document, OneOf):
        any_of = {"anyOf": [_describe(one, definitions) for one in document.types]}
        return {"type": "array", "items": any_of} if isinstance(document, ListOf) else any_of
    (described,), used = msgspec.json.schema_components([document], ref_template="#/$defs/{name}")
    definitions |= used
    return dict(described)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(schema(), indent=1) + "\n")
