"""What apt is told."""

from __future__ import annotations

from pathlib import Path

from banger.core.apt import Apt, plan_apt_options
from banger.core.debian import render_apt_conf


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
