"""What a VM gets when nothing is said, and who is said to have said it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from banger.core.config.defaults import Defaults, apply_configuration, derive_defaults
from banger.core.config.parsing import Configuration


@pytest.mark.parametrize(
    ("cpus", "memory_gib", "vcpu", "memory_mib"),
    [(1, 1, 1, 512), (2, 8, 2, 1024), (4, 16, 4, 2048), (16, 64, 4, 4096), (3, 22, 3, 2816)],
)
def test_the_host_decides(cpus: int, memory_gib: int, vcpu: int, memory_mib: int) -> None:
    defaults = derive_defaults(cpus=cpus, memory_bytes=memory_gib << 30)
    assert (defaults.vcpu, defaults.memory_mib) == (vcpu, memory_mib)
    assert [defaults.origin(field) for field in ("vcpu", "memory_mib", "disk_bytes")] == ["host", "host", "built-in"]


@given(st.integers(1, 4096), st.integers(1 << 20, 1 << 50))
def test_what_the_host_decides_is_always_possible(cpus: int, memory_bytes: int) -> None:
    defaults = derive_defaults(cpus=cpus, memory_bytes=memory_bytes)
    assert 1 <= defaults.vcpu <= min(4, cpus)
    assert 512 <= defaults.memory_mib <= 4096


def test_the_configuration_wins_over_the_host_and_flags_over_both() -> None:
    defaults = apply_configuration(
        derive_defaults(cpus=2, memory_bytes=8 << 30), Configuration(vcpu=7, nat=True, default_image="tiny")
    )
    assert (defaults.vcpu, defaults.memory_mib, defaults.nat, defaults.image) == (7, 1024, True, "tiny")
    asked = {"vcpu": None, "memory_mib": 512, "nat": False, "image": None, "disk_bytes": None}
    assert defaults.origins_beside(asked) == {
        "vcpu": "config",
        "memory_mib": "flag",
        "nat": "flag",
        "image": "config",
        "disk_bytes": "built-in",
    }


def test_no_configuration_changes_nothing() -> None:
    defaults = derive_defaults(cpus=2, memory_bytes=8 << 30)
    assert apply_configuration(defaults, Configuration()) == defaults


def test_a_time_of_zero_is_said_and_means_never() -> None:
    said = apply_configuration(Defaults(vcpu=1, memory_mib=512), Configuration(ttl_s=0, auto_stop_stale_after_s=0))
    assert (said.ttl_s, said.origin("ttl_s")) == (None, "config")
    assert (said.auto_stop_stale_after_s, said.origin("auto_stop_stale_after_s")) == (0, "config")
    some = apply_configuration(Defaults(vcpu=1, memory_mib=512), Configuration(ttl_s=60, auto_stop_stale_after_s=90))
    assert (some.ttl_s, some.auto_stop_stale_after_s) == (60, 90)
