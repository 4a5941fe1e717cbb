"""Files that a recipe names by digest, and when it may do without one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from banger.core.errors import BangerError, Denied, Failed, NotFound, TimedOut, Unavailable
from banger.core.progress import Progress
from banger.image.pinned import Fetch, Pinned, fetch_wanted

TOOL = Pinned(url="https://example.org/a/tool.tgz", sha256="0" * 64, size_bytes=1, optional=True)


def failing(error: BangerError) -> Fetch:
    async def fetch(_pinned: Pinned) -> Path:
        raise error

    return fetch


async def test_what_is_there_is_got() -> None:
    async def fetch(pinned: Pinned) -> Path:
        return Path("/cache") / pinned.sha256

    assert await fetch_wanted(TOOL, fetch, lambda _progress: None) == Path("/cache") / TOOL.sha256


@pytest.mark.parametrize("error", [Unavailable("nobody answers"), NotFound("x"), Denied("x"), TimedOut("x")])
async def test_an_optional_one_that_cannot_be_had_is_told(error: BangerError) -> None:
    told: list[Progress] = []
    assert await fetch_wanted(TOOL, failing(error), told.append) is None
    assert [progress.text for progress in told] == [f"going on without tool.tgz: {error.summary}"]
    with pytest.raises(type(error)):
        await fetch_wanted(replace(TOOL, optional=False), failing(error), told.append)


async def test_an_optional_one_with_other_bytes_is_refused() -> None:
    with pytest.raises(Failed):
        await fetch_wanted(TOOL, failing(Failed("other bytes")), lambda _progress: None)
