"""Connecting to a VMM that is no longer there, or that hangs: neither may hold up the daemon."""

from __future__ import annotations

from pathlib import Path

import pytest

from banger.core.errors import Unavailable
from banger.core.layout import VmLayout
from banger.core.sockets import connect_unix, listen_unix
from banger.daemon.guest_channel import connect_guest


@pytest.fixture
def files(tmp_path: Path) -> VmLayout:
    return VmLayout(state=tmp_path, run=tmp_path)


async def connect(files: VmLayout) -> None:
    await connect_guest(files, first=True, deadline_s=60)


async def test_a_vmm_that_ended_is_unavailable(files: VmLayout) -> None:
    listen_unix(files.channel).close()
    with pytest.raises(Unavailable, match="Connection refused"):
        await connect(files)


async def test_a_vmm_that_is_not_there_is_unavailable(files: VmLayout) -> None:
    with pytest.raises(Unavailable, match="No such file"):
        await connect(files)


async def test_a_vmm_that_hangs_is_unavailable_at_once_when_its_backlog_is_full(files: VmLayout) -> None:
    with listen_unix(files.channel, backlog=0), connect_unix(files.channel), pytest.raises(Unavailable):
        await connect(files)
