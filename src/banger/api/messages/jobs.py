"""Requests about jobs: commands that run in guests without a client."""

from __future__ import annotations

from typing import Literal, NotRequired, TypedDict


class JobRequest(TypedDict):
    """Body of `POST /v1/vms/{ref}/jobs` (progress): begin a job. The members are those of `ExecRequest`."""

    command: list[str]
    environment: dict[str, str]
    cwd: str | None
    user: str | None
    prepare: NotRequired[bool]
    timeout_s: NotRequired[float | None]


class JobView(TypedDict):
    """A job as the guest reports it. `command` is cut when it is long. `lost`: it ended with its machine.

    `status` is null until it has ended; `ended_at_s` is by the guest's clock. Of its output `log_bytes` are
    kept; the `log_dropped_bytes` before them are not.
    """

    job: int
    state: Literal["running", "ended", "lost"]
    status: int | None
    command: list[str]
    cwd: str
    user: str
    began_at_s: float
    ended_at_s: float | None
    log_bytes: int
    log_dropped_bytes: int


class JobsResult(TypedDict):
    """Answer of `GET /v1/vms/{ref}/jobs`: the newest jobs, by number."""

    jobs: list[JobView]


class JobLogsRequest(TypedDict):
    """First frame of `POST /v1/vms/{ref}/jobs/{job}/logs` (stream): output and errors of a job as output frames.

    What is said of the log itself, such as that its beginning is not kept, comes as error frames.

    `tail`: how many lines of earlier output; null means all. `follow`: until it ends.
    """

    follow: bool
    tail: int | None


class JobSignalRequest(TypedDict):
    """Body of `POST /v1/vms/{ref}/jobs/{job}/kill` (progress): `signal` is a name such as `TERM`."""

    signal: str
