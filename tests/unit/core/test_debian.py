"""Finding the host's mirror and proxies in what administrators write."""

from __future__ import annotations

from pathlib import Path

import pytest

from banger.core.debian import (
    PUBLIC_MIRROR,
    PUBLIC_SECURITY_MIRROR,
    Mirrors,
    find_mirrors,
    parse_proxies,
    read_host_sources,
    render_apt_conf,
    render_sources,
)

PUBLIC = Mirrors()
OWN = Mirrors("http://mirror.example/debian", "http://mirror.example/security")

DEB822 = """\
# comment
Types: deb deb-src
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main
 contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://mirror.example/security/
Suites: bookworm-security
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
"""
ONE_LINE = """\
deb http://mirror.example/debian/ bookworm main contrib # ours
deb-src http://source.example/debian bookworm main
deb [ arch=amd64 signed-by=/k/debian-archive-keyring.gpg ] http://mirror.example/security bookworm-security main
"""


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ([], PUBLIC),
        ([""], PUBLIC),
        ([DEB822], OWN),
        ([ONE_LINE], OWN),
        (["deb http://other.example/debian trixie main"], PUBLIC),
        (["#deb http://mirror.example/debian bookworm main"], PUBLIC),
        ([DEB822.replace("Types: deb deb-src", "Types: deb-src")], Mirrors(PUBLIC_MIRROR, OWN.security)),
        ([DEB822.replace("# comment", "Enabled: no")], Mirrors(PUBLIC_MIRROR, OWN.security)),
        # Others who publish for the suite under its name.
        (["deb https://apt.example bookworm main", ONE_LINE, "deb https://z.example bookworm stable"], OWN),
        (["deb [signed-by=/etc/apt/keyrings/x.gpg] https://apt.example bookworm main"], PUBLIC),
        ([DEB822.replace("debian-archive-keyring", "somebody")], PUBLIC),
        # Addresses that we could not hand on.
        (["deb cdrom:[disc]/ bookworm main", "deb file:/srv/debian bookworm main"], PUBLIC),
        (["deb mirror+http://x.example/list bookworm main"], PUBLIC),
        (["deb", "deb [", "deb http://x bookworm", "Types: deb\nURIs:\nSuites: bookworm"], PUBLIC),
    ],
)
def test_mirrors(texts: list[str], expected: Mirrors) -> None:
    assert find_mirrors(texts, suite="bookworm") == expected


def test_an_address_with_updates_is_preferred() -> None:
    texts = ["deb http://first.example/debian bookworm main\ndeb http://second.example/d bookworm main\n"]
    assert find_mirrors(texts, suite="bookworm").archive == "http://first.example/debian"
    texts.append("deb http://second.example/d bookworm-updates main")
    assert find_mirrors(texts, suite="bookworm").archive == "http://second.example/d"


def test_what_is_rendered_is_found_again() -> None:
    assert find_mirrors([render_sources(OWN, suite="bookworm")], suite="bookworm") == OWN
    assert "signed-by=/usr/share/keyrings/debian-archive-keyring.gpg" in render_sources(OWN, suite="bookworm")
    assert PUBLIC_SECURITY_MIRROR in render_sources(PUBLIC, suite="bookworm")


def test_sources_are_read_from_where_apt_reads_them(tmp_path: Path) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list").write_text("one")
    (tmp_path / "sources.list.d" / "b.sources").write_text("three")
    (tmp_path / "sources.list.d" / "a.list").write_bytes(b"t\xffo")
    (tmp_path / "sources.list.d" / "a.save").write_text("no")
    assert read_host_sources(tmp_path) == ["one", "t\ufffdo", "three"]
    assert read_host_sources(tmp_path / "nothing") == []


def test_proxies() -> None:
    dump = """\
Acquire "";
Acquire::http "";
Acquire::http::Proxy "http://proxy.example:3128/";
Acquire::http::Proxy::mirror.example "DIRECT";
Acquire::https::Proxy "";
Acquire::http::Proxy-Auto-Detect "/usr/bin/detect";
Acquire::http::Pipeline-Depth "0";
Acquire::https::Proxy "a"; Dir::Bin::dpkg "evil";
"""
    found = parse_proxies(dump)
    assert found == (
        ("Acquire::http::Proxy", "http://proxy.example:3128/"),
        ("Acquire::http::Proxy::mirror.example", "DIRECT"),
        ("Acquire::http::Proxy-Auto-Detect", "/usr/bin/detect"),
    )
    assert render_apt_conf(found[:1]) == 'Acquire::http::Proxy "http://proxy.example:3128/";\n'
