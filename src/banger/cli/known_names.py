"""Names of VMs, images and kernels for completion: from a daemon that answers at once, else none.

Nobody waits for a key: a daemon that is not there is not started, and one that is busy is left alone.
"""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from banger.api.client import Connection
from banger.cli.arguments import vm_ref
from banger.cli.completing import Candidate
from banger.cli.context import vm_path
from banger.core.errors import BangerError
from banger.core.names import parse_vm_name
from banger.core.roots import find_roots
from banger.core.sockets import connect_unix

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_PATIENCE_S: Final = 0.5


class KnownNames:
    """Asks the daemon that the environment says."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment

    def __call__(self, kind: str) -> list[Candidate]:
        """Names of a kind, sorted, or a VM's jobs; what is not a name never reaches a shell. Raises nothing."""
        if kind.startswith("job:"):
            return list(_asked(partial(self._jobs, kind.removeprefix("job:"))))
        ask = {
            "vm": self._vms,
            "image": self._images,
            "kernel": self._kernels,
            "image-to-pull": self._images_to_pull,
            "kernel-to-pull": self._kernels_to_pull,
        }.get(kind)
        return [] if ask is None else sorted(set(_asked(ask)))

    def _vms(self) -> Iterator[Candidate]:
        for vm in self._get("/v1/vms")["vms"]:
            yield Candidate(vm["name"], vm["state"])

    def _jobs(self, vm: str) -> Iterator[Candidate]:
        for job in self._get(vm_path(vm_ref(vm), "/jobs"))["jobs"]:
            yield Candidate(str(job["job"]), f"{job['state']}: {' '.join(job['command'])}")

    def _images(self) -> Iterator[Candidate]:
        for image in self._get("/v1/images")["images"]:
            yield Candidate(image["name"], "image")

    def _kernels(self) -> Iterator[Candidate]:
        for kernel in self._get("/v1/kernels")["kernels"]:
            yield Candidate(kernel["name"], f"Linux {kernel['release']}")

    def _images_to_pull(self) -> Iterator[Candidate]:
        return self._available("images")

    def _kernels_to_pull(self) -> Iterator[Candidate]:
        return self._available("kernels")

    def _available(self, what: str) -> Iterator[Candidate]:
        with self._open() as daemon:
            for message in daemon.follow(f"/v1/{what}/available", {}):
                for entry in message.get("result", {}).get("entries", ()):
                    yield Candidate(entry["name"], entry["description"])

    def _get(self, path: str) -> Any:  # noqa: ANN401 - JSON
        with self._open() as daemon:
            return daemon.get(path)

    def _open(self) -> Connection:
        socket_path = find_roots(self._environment, uid=os.getuid()).daemon_socket
        return Connection(connect_unix(socket_path, timeout_s=_PATIENCE_S))


def _asked(ask: Callable[[], Iterator[Candidate]]) -> Iterator[Candidate]:
    try:
        for candidate in ask():
            parse_vm_name(candidate.word)  # images and kernels keep the same rule
            yield candidate
    except (BangerError, OSError, ValueError, LookupError, TypeError, AttributeError):
        return
