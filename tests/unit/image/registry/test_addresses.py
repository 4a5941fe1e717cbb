"""Where addresses are, and who may send us there."""

from __future__ import annotations

import pytest

from banger.image.registry.addresses import ANYWHERE, Place, place_of, reach_from


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("1.1.1.1", Place.PUBLIC),
        ("172.15.255.255", Place.PUBLIC),
        ("172.16.0.0", Place.PRIVATE),
        ("172.31.255.255", Place.PRIVATE),
        ("172.32.0.0", Place.PUBLIC),
        ("10.1.2.3", Place.PRIVATE),
        ("192.168.1.1", Place.PRIVATE),
        ("100.64.0.1", Place.PRIVATE),
        ("100.100.100.200", Place.SPECIAL),
        ("198.19.0.1", Place.PRIVATE),
        ("127.0.0.1", Place.LOOPBACK),
        ("127.255.255.254", Place.LOOPBACK),
        ("0.0.0.0", Place.SPECIAL),
        ("169.254.169.254", Place.SPECIAL),
        ("168.63.129.16", Place.SPECIAL),
        ("192.0.0.192", Place.SPECIAL),
        ("224.0.0.251", Place.SPECIAL),
        ("255.255.255.255", Place.SPECIAL),
        ("2606:4700::1", Place.PUBLIC),
        ("::1", Place.LOOPBACK),
        ("::", Place.SPECIAL),
        ("::ffff:127.0.0.1", Place.LOOPBACK),
        ("::ffff:8.8.8.8", Place.PUBLIC),
        ("::127.0.0.1", Place.SPECIAL),
        ("64:ff9b::a9fe:a9fe", Place.SPECIAL),
        ("64:ff9b::808:808", Place.PUBLIC),
        ("64:ff9b:1::1", Place.PRIVATE),
        ("2002:7f00:1::", Place.LOOPBACK),
        ("2002:a00:1::", Place.PRIVATE),
        ("2001::1", Place.SPECIAL),
        ("2001:db8::1", Place.SPECIAL),
        ("fe80::1", Place.SPECIAL),
        ("fe80::1%eth0", Place.SPECIAL),
        ("fc00::1", Place.PRIVATE),
        ("fd00:ec2::254", Place.SPECIAL),
        ("fec0::1", Place.SPECIAL),
        ("ff02::1", Place.SPECIAL),
        ("4000::1", Place.SPECIAL),
        ("no address", Place.SPECIAL),
        ("", Place.SPECIAL),
    ],
)
def test_the_place_of_an_address(address: str, place: Place) -> None:
    assert place_of(address) == place


def test_nobody_sends_us_further_inwards_than_he_is() -> None:
    for place in Place:
        assert reach_from(place) < ANYWHERE
        assert reach_from(place) <= place
    assert reach_from(Place.SPECIAL) == Place.PRIVATE
