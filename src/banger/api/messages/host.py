"""The daemon itself and the computer it runs on."""

from __future__ import annotations

from typing import Literal, TypedDict


class Ping(TypedDict):
    """Answer of `GET /v1/ping`. `notice` is what happened when the daemon started and the user has to know."""

    version: str
    api_version: int
    pid: int
    started_at_s: float
    vms_running: int
    notice: str


class CheckView(TypedDict):
    """One line of `banger doctor`. `commands` fix it without anybody deciding anything; `fix` says what does."""

    id: str
    title: str
    level: Literal["pass", "warn", "fail"]
    text: str
    fix: str
    commands: list[list[str]]


class DoctorResult(TypedDict):
    """Result of `POST /v1/doctor` (progress)."""

    checks: list[CheckView]
