from __future__ import annotations

from banger.network.plan import reaches_out


def test_a_network_reaches_further_than_the_guest() -> None:
    assert not reaches_out([])
    assert not reaches_out(["127.0.0.1", "127.0.1.1"])
    assert reaches_out(["127.0.0.1", "10.0.2.15"])
