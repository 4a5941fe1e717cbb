"""Bills of materials."""

from __future__ import annotations

import pytest

from banger.cli.sbom import package_url


@pytest.mark.parametrize(
    ("form", "distribution", "name", "version", "expected"),
    [
        ("deb", "debian", "libstdc++6", "12.2.0-14+deb12u1", "pkg:deb/debian/libstdc%2B%2B6@12.2.0-14%2Bdeb12u1"),
        ("deb", "debian", "less", "1:590~rc-2", "pkg:deb/debian/less@1:590~rc-2"),
        ("apk", "alpine", "musl", "1.2.5-r0", "pkg:apk/alpine/musl@1.2.5-r0"),
        ("rpm", "fedora", "shadow-utils", "2:4.15-1.fc40", "pkg:rpm/fedora/shadow-utils@4.15-1.fc40?epoch=2"),
        ("rpm", "fedora", "bash", "5.2^1-1", "pkg:rpm/fedora/bash@5.2%5E1-1"),
        ("rpm", "", "bash", "5.2-1", ""),
        ("", "debian", "bash", "5.2-1", ""),
    ],
)
def test_package_urls(form: str, distribution: str, name: str, version: str, expected: str) -> None:
    assert package_url(name, version, form=form, distribution=distribution) == expected
