"""The events of a request in progress."""

from __future__ import annotations

from typing import Literal, NotRequired, TypedDict

from banger.api.messages.vms import VmView


class StageEvent(TypedDict):
    """A named stage began, progressed or ended. `done` and `total` are in `unit` when known.

    `detail` marks a part of another stage: shown on a terminal, and elsewhere only with `--verbose`.
    """

    event: Literal["stage"]
    stage: str
    text: str
    state: Literal["begin", "progress", "end"]
    done: NotRequired[int]
    total: NotRequired[int]
    unit: NotRequired[Literal["bytes", "files", "packages"]]
    elapsed_s: NotRequired[float]
    detail: NotRequired[bool]


class NoticeEvent(TypedDict):
    """One line that the user should see: a fallback and its reason, untracked files left behind."""

    event: Literal["notice"]
    text: str


class LogEvent(TypedDict):
    """A line of output of an awaited program in the guest: the installation of tools."""

    event: Literal["log"]
    text: str


class VmEvent(TypedDict):
    """The VM exists now under this id and name. Sent once by `run`."""

    event: Literal["vm"]
    vm: VmView


class ReadyEvent(TypedDict):
    """The VM is ready and the command or shell starts now."""

    event: Literal["ready"]
    elapsed_s: float


class ForwardEvent(TypedDict):
    """A port on 127.0.0.1 listens and leads to a port of the guest."""

    event: Literal["forward"]
    host_address: str
    host_port: int
    guest_port: int


Event = StageEvent | NoticeEvent | LogEvent | VmEvent | ReadyEvent | ForwardEvent
