"""Kernels as clients see them."""

from __future__ import annotations

import asyncio

from banger.api.messages import KernelView
from banger.daemon.collaborators import Kernels
from banger.kernel.store import Kernel


class KernelVerbs:
    """Lists."""

    def __init__(self, *, kernels: Kernels) -> None:
        self._kernels = kernels

    async def list(self) -> list[KernelView]:
        return [view_kernel(kernel) for kernel in await asyncio.to_thread(self._kernels.list)]


def view_kernel(kernel: Kernel) -> KernelView:
    """A kernel as clients see it."""
    return {
        "name": kernel.name,
        "digest": kernel.digest,
        "architecture": kernel.architecture,
        "release": kernel.release,
        "size_bytes": kernel.size_bytes,
        "created_at_s": kernel.created_at_s,
        "source": kernel.source,
    }
