"""Requests about what is inside a running guest."""

from __future__ import annotations

from typing import TypedDict

from banger.api.messages.vms import VmView


class ConnectRequest(TypedDict):
    """First frame of `POST /v1/vms/{ref}/connect` (stream): a TCP connection to a guest port.

    `wait_s`: keep trying a refused connection for so long (a server may still be starting).
    """

    port: int
    wait_s: float


class SshPlan(TypedDict):
    """Answer of `GET /v1/vms/{ref}/ssh`: what the system's ssh needs; options as `-o` values."""

    vm: VmView
    user: str
    host_alias: str
    options: list[str]
