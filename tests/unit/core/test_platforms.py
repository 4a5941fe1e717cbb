"""Platforms as people write them."""

from __future__ import annotations

import pytest

from banger.core.errors import Invalid
from banger.core.platforms import ARCHITECTURES, host_architecture, name_platform, parse_platform


@pytest.mark.parametrize(
    ("text", "architecture"),
    [
        ("linux/amd64", "x86_64"),
        ("linux/arm64", "aarch64"),
        ("linux/arm64/v8", "aarch64"),
        ("Linux/ARM64", "aarch64"),
        ("arm64", "aarch64"),
        ("aarch64", "aarch64"),
        ("amd64", "x86_64"),
        ("x86_64", "x86_64"),
    ],
)
def test_words_for_platforms(text: str, architecture: str) -> None:
    assert parse_platform(text) == architecture


@pytest.mark.parametrize("text", ["", "linux", "linux/", "linux/arm", "windows/amd64", "linux/linux/arm64", "\x1b[31m"])
def test_what_is_no_platform_of_a_guest(text: str) -> None:
    with pytest.raises(Invalid, match="is not a platform") as caught:
        parse_platform(text)
    assert caught.value.hint == "give linux/amd64 or linux/arm64"
    assert str(caught.value).isprintable()


def test_every_architecture_has_a_name_that_means_it() -> None:
    assert [parse_platform(name_platform(architecture)) for architecture in ARCHITECTURES] == list(ARCHITECTURES)
    assert name_platform("riscv64") == "riscv64"
    assert host_architecture() in ARCHITECTURES
