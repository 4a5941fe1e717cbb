"""Requests about what is inside a running guest."""

from __future__ import annotations

from typing import Literal, TypedDict

from banger.api.messages.vms import VmView


class ConnectRequest(TypedDict):
    """First frame of `POST /v1/vms/{ref}/connect` (stream): a TCP connection to a guest port.

    `wait_s`: keep trying a refused connection for this long (a server may still be starting).
    """

    port: int
    wait_s: float


class LogsRequest(TypedDict):
    """First frame of `POST /v1/vms/{ref}/logs/follow` (stream): the console comes as output frames until the VM ends.

    `tail`: how many lines of earlier output; null means all that is kept.
    """

    tail: int | None


class ForwardMapping(TypedDict):
    """A port of the guest and the port on 127.0.0.1 that leads to it. `host_port` 0 means: any that is free.

    With `flexible` another one is taken when that one is not available.
    """

    host_port: int
    guest_port: int
    flexible: bool


class ForwardRequest(TypedDict):
    """First frame of `POST /v1/vms/{ref}/forward` (stream). The ports are there until the client hangs up.

    An event `forward` tells each port as soon as all of them listen. Ends with an error when the VM ends.
    """

    mappings: list[ForwardMapping]


class CopyRequest(TypedDict):
    """Body of `POST /v1/vms/{ref}/copy` (progress): a file or directory into the guest (`in`) or out of it (`out`).

    `host_directory` is absolute and free of symbolic links, none of which are followed. `host_name` is a name in it:
    of what is copied, or of the copy; null for the copy means the name that it has in the guest.
    `name` is what a copy is called that goes into an existing directory of the guest.
    `guest_path` is absolute, or relative to where commands run. With `replace` a directory may replace another one.
    """

    direction: Literal["in", "out"]
    host_directory: str
    host_name: str | None
    guest_path: str
    name: str | None
    replace: bool


class CopyResult(TypedDict):
    """What was copied, and where it is now. `skipped` counts what is neither file, directory nor symbolic link."""

    destination: str
    files: int
    directories: int
    links: int
    skipped: int
    size_bytes: int


class SshPlan(TypedDict):
    """Answer of `GET /v1/vms/{ref}/ssh`: what the system's ssh needs; options as `-o` values.

    `host_key` is the public key that the guest shows: its kind and the key.
    """

    vm: VmView
    user: str
    host_alias: str
    host_key: str
    options: list[str]


class SshDefaults(TypedDict):
    """Answer of `GET /v1/ssh`: what the system's ssh needs for any guest, whose host key it has to be told beside."""

    user: str
    options: list[str]
