"""The daemon itself and the computer it runs on."""

from __future__ import annotations

from typing import Literal, TypedDict


class Ping(TypedDict):
    """Answer of `GET /v1/ping`. `notice` is something about the daemon's start that the user has to know."""

    version: str
    api_version: int
    pid: int
    started_at_s: float
    vms_running: int
    notice: str


class CheckView(TypedDict):
    """One line of `banger doctor`. `fix` says how to fix it, `commands` do so if no decision is needed."""

    id: str
    title: str
    level: Literal["pass", "warn", "fail"]
    text: str
    fix: str
    commands: list[list[str]]


class DoctorResult(TypedDict):
    """Result of `POST /v1/doctor` (progress)."""

    checks: list[CheckView]
