"""Which workspace a directory is in, and how a command is started there."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.world import git

from banger.workspace.toolchain import find_around, list_tool_files, mise_environment, through_mise


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


async def test_only_tracked_files_at_the_top_tell_of_tools(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    (tmp_path / "sub").mkdir()
    for name in (".tool-versions", "mise.toml", "sub/.mise.toml", "mise.local.toml"):
        (tmp_path / name).write_text("")
    assert await list_tool_files(tmp_path) == ()
    assert await list_tool_files(tmp_path, include_untracked=True) == ("mise.toml", ".tool-versions")
    (tmp_path / ".gitignore").write_text("mise.toml\n")
    assert await list_tool_files(tmp_path, include_untracked=True) == (".tool-versions",)
    (tmp_path / ".gitignore").unlink()
    git(tmp_path, "add", "-A")
    assert await list_tool_files(tmp_path) == ("mise.toml", ".tool-versions")
    (tmp_path / "mise.toml").unlink()
    assert await list_tool_files(tmp_path) == (".tool-versions",)
