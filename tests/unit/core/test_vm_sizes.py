"""Which sizes a VM may have, anywhere and on this computer."""

from __future__ import annotations

import pytest

from banger.core.errors import Invalid
from banger.core.sizes import GIB
from banger.core.vm import HostSize, check_sizes_here

SMALL = HostSize(cpus=1, memory_bytes=4 * GIB)
LARGE = HostSize(cpus=128, memory_bytes=512 * GIB)


@pytest.mark.parametrize(("host", "vcpu", "memory_mib"), [(SMALL, 8, 4096), (SMALL, 1, 512), (LARGE, 256, 512 * 1024)])
def test_what_a_computer_can_give(host: HostSize, vcpu: int, memory_mib: int) -> None:
    check_sizes_here(host, vcpu=vcpu, memory_mib=memory_mib)


@pytest.mark.parametrize(
    ("host", "vcpu", "memory_mib", "hint"),
    [
        (SMALL, 9, 512, "give --vcpu a number from 1 to 8"),
        (HostSize(cpus=3, memory_bytes=GIB), 13, 512, "give --vcpu a number from 1 to 12"),
        (LARGE, 257, 512, "give --vcpu a number from 1 to 256"),
        (SMALL, 1, 4097, "to 4 GiB"),
    ],
)
def test_what_it_cannot(host: HostSize, vcpu: int, memory_mib: int, hint: str) -> None:
    with pytest.raises(Invalid) as raised:
        check_sizes_here(host, vcpu=vcpu, memory_mib=memory_mib)
    assert hint in raised.value.hint
