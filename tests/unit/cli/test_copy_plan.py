from __future__ import annotations

from pathlib import Path

import pytest

from banger.cli.commands.vm_cp import locate_destination, locate_source, plan_copy, render_summary, split_guest
from banger.cli.commands.vm_forward import parse_mapping, render_port
from banger.core.errors import Invalid, NotFound


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("box:", ("box", "")),
        ("box:/a:b", ("box", "/a:b")),
        ("box:rel/x", ("box", "rel/x")),
        ("./a:b", None),
        ("/a:b", None),
        ("dir/a:b", None),
        ("plain", None),
        (".hidden:x", None),
    ],
)
def test_which_side_is_in_a_guest(text: str, expected: tuple[str, str] | None) -> None:
    assert split_guest(text) == expected


def test_what_is_no_vm_is_refused() -> None:
    with pytest.raises(Invalid):
        split_guest("a b:x")


def test_links_on_the_way_are_resolved_here(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "file").touch()
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "name").symlink_to("real/file")
    real = str(tmp_path / "real")
    assert locate_source(f"{tmp_path}/name") == (real, "file", "name")
    assert locate_source(f"{tmp_path}/link/") == (str(tmp_path), "real", "link")
    assert locate_destination(f"{tmp_path}/link") == (real, None)
    assert locate_destination(f"{tmp_path}/link/new") == (real, "new")
    assert locate_destination(f"{tmp_path}/name") == (str(tmp_path), "name")
    for path in (f"{tmp_path}/no/new", f"{tmp_path}/new/", ""):
        with pytest.raises(NotFound):
            locate_destination(path)
    with pytest.raises(Invalid):
        locate_source("/")


def test_the_requests(tmp_path: Path) -> None:
    (tmp_path / "f").touch()
    assert plan_copy(f"{tmp_path}/f", "box:", force=False) == (
        "box",
        {
            "direction": "in",
            "host_directory": str(tmp_path),
            "host_name": "f",
            "guest_path": ".",
            "name": "f",
            "replace": False,
        },
    )
    assert plan_copy("box:/etc", str(tmp_path), force=True) == (
        "box",
        {
            "direction": "out",
            "host_directory": str(tmp_path),
            "host_name": None,
            "guest_path": "/etc",
            "name": None,
            "replace": True,
        },
    )


def test_the_summary() -> None:
    counts = {"files": 2, "directories": 2, "links": 1, "skipped": 1, "size_bytes": 2048}
    text = render_summary({"destination": "/x\x1b", **counts}, "box")  # type: ignore[typeddict-item]
    assert text == "copied 2 files, 2 directories, 1 link (2 KiB) to box:/x\\x1b; 1 left out"


def test_port_mappings() -> None:
    assert parse_mapping("80") == {"host_port": 80, "guest_port": 80, "flexible": True}
    for text in ("8080:80", "127.0.0.1:8080:80", "localhost:8080:80"):
        assert parse_mapping(text) == {"host_port": 8080, "guest_port": 80, "flexible": False}
    assert parse_mapping("0:80")["host_port"] == 0
    for text in ("", ":", "80:", ":80", "0", "80:0", "-1:80", "1:2:3:4", "0.0.0.0:1:2", "65536", "\u0661:80"):
        with pytest.raises(Invalid):
            parse_mapping(text)
    event = {"event": "forward", "host_address": "127.0.0.1", "host_port": 18080, "guest_port": 80}
    assert render_port("box", event, as_json=False) == "127.0.0.1:18080 -> box:80\n"


@pytest.mark.parametrize(("source", "destination"), [("box:/f", "-"), ("-", "box:/f")])
def test_a_dash_is_no_stream(source: str, destination: str) -> None:
    with pytest.raises(Invalid, match="`-`"):
        plan_copy(source, destination, force=False)
