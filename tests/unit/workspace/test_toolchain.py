"""Which workspace a directory is in, and how a command is started there."""

from __future__ import annotations

import pytest

from banger.workspace.toolchain import find_around, find_tool_files, mise_environment, through_mise


@pytest.mark.parametrize(
    ("directory", "found"),
    [
        ("/root/one", "/root/one"),
        ("/root/one/", "/root/one"),
        ("/root/one/src/../lib", "/root/one"),
        ("/root/one/inner/src", "/root/one/inner"),
        ("/root/one/../two", None),
        ("/root/onemore", None),
        ("/root", None),
        ("/", None),
    ],
)
def test_the_innermost_workspace_around_a_directory(directory: str, found: str | None) -> None:
    assert find_around(["/root/one", "/root/one/inner"], directory) == found


def test_a_command_reaches_mise_as_it_is() -> None:
    assert through_mise("mise", ["a b", "-c", "x=y", ""])[-4:] == ("a b", "-c", "x=y", "")
    assert through_mise("mise", ["x"])[:3] == ("mise", "exec", "--")


def test_without_a_network_nothing_is_downloaded_on_the_way() -> None:
    assert mise_environment("/root/w", network=True)["MISE_TRUSTED_CONFIG_PATHS"] == "/root/w"
    assert "MISE_OFFLINE" not in mise_environment("/root/w", network=True)
    assert mise_environment("/root/w", network=False)["MISE_EXEC_AUTO_INSTALL"] == "0"


def test_tool_files_count_at_the_top_only() -> None:
    assert find_tool_files([b"README", b".tool-versions", b"sub/mise.toml"]) == (".tool-versions",)
    assert find_tool_files([b"mise.local.toml"]) == ()
