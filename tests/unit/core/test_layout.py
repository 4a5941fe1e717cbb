from pathlib import Path

import pytest

from banger.core.errors import Invalid
from banger.core.layout import layout_from_environment


def test_banger_home_holds_everything() -> None:
    layout = layout_from_environment({"BANGER_HOME": "/b", "HOME": "/h", "XDG_STATE_HOME": "/s"}, uid=1000)
    assert {layout.config, layout.state, layout.cache, layout.run} == {
        Path("/b/config"),
        Path("/b/state"),
        Path("/b/cache"),
        Path("/b/run"),
    }


def test_xdg_variables_win_over_home() -> None:
    layout = layout_from_environment({"HOME": "/h", "XDG_STATE_HOME": "/s", "XDG_RUNTIME_DIR": "/run/user/7"}, uid=1000)
    assert layout.state == Path("/s/banger")
    assert layout.cache == Path("/h/.cache/banger")
    assert layout.run == Path("/run/user/7/banger")


def test_without_a_runtime_directory_the_state_directory_serves() -> None:
    layout = layout_from_environment({"HOME": "/h"}, uid=1000)
    assert layout.run == Path("/h/.local/state/banger/run")


@pytest.mark.parametrize(
    "environment", [{}, {"HOME": "relative"}, {"BANGER_HOME": "x"}, {"HOME": "/h", "XDG_CACHE_HOME": "c"}]
)
def test_relative_roots_are_refused(environment: dict[str, str]) -> None:
    with pytest.raises(Invalid):
        layout_from_environment(environment, uid=1000)
