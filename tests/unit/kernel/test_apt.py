"""What apt is told, and what is believed of what it says."""

from __future__ import annotations

from pathlib import Path

import pytest

from banger.core.debian import render_apt_conf
from banger.core.errors import NotFound
from banger.kernel.apt import Apt, Candidate, find_dependency, parse_candidate, plan_apt_options


def test_apt_reads_nothing_of_the_host() -> None:
    options = dict(plan_apt_options(Path("/d"), architecture="arm64", proxies=[("Acquire::http::Proxy", "http://p")]))
    for name in ("main", "parts", "preferences", "preferencesparts", "sourceparts"):
        assert options[f"Dir::Etc::{name}"] == "/dev/null"
    assert options["Dir::Etc::sourcelist"] == "/d/sources.list"
    assert {options[name] for name in ("Dir::State", "Dir::Cache", "Dir::State::status")} == {
        *("/d/state", "/d/cache", "/d/status"),
    }
    assert options["APT::Architecture"] == "arm64"
    assert options["Acquire::http::Proxy"] == "http://p"


def test_the_directory_has_what_apt_needs(tmp_path: Path) -> None:
    sources = ["deb http://mirror.example/debian bookworm main"]
    directory = tmp_path / "apt"
    Apt(directory, suite="bookworm", architecture="amd64", host_sources=sources, proxies=())
    assert "http://mirror.example/debian bookworm main" in (directory / "sources.list").read_text()
    expected = render_apt_conf(plan_apt_options(directory, architecture="amd64", proxies=()))
    assert (directory / "apt.conf").read_text() == expected
    assert (directory / "state" / "lists" / "partial").is_dir()


def test_the_kernel_is_what_the_meta_package_depends_on() -> None:
    control = "Package: linux-image-cloud-amd64\nDepends: linux-base, linux-image-6.1.0-56-cloud-amd64 (= 6.1.192-2)\n"
    assert find_dependency(control) == "linux-image-6.1.0-56-cloud-amd64"


@pytest.mark.parametrize("control", ["", "Depends:\n", "Depends: foo", "Depends: linux-image-../../x", "Depends: ,,"])
def test_a_meta_package_without_a_kernel(control: str) -> None:
    with pytest.raises(NotFound):
        find_dependency(control)


def test_a_candidate() -> None:
    control = "Package: linux-image-6.1.0-1-cloud-amd64\nVersion: 6.1.2-1+b1\nSize: 123\nDescription: x\n more: y\n"
    assert parse_candidate(control) == Candidate("linux-image-6.1.0-1-cloud-amd64", "6.1.2-1+b1", 123)


@pytest.mark.parametrize("field", ["Package: x", "Version: 1 -o Dpkg=x", "Size: big", "Size:"])
def test_a_candidate_that_is_not_believed(field: str) -> None:
    control = "Package: linux-image-6.1.0-1-cloud-amd64\nVersion: 6.1.2-1\nSize: 123\n" + field
    with pytest.raises(NotFound):
        parse_candidate(control)
