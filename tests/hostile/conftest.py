"""Worlds for the registry's misbehaviours."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.fakes.certificates import Authority, make_authority
from tests.hostile.registry_world import ADDRESSES, World, plain_world, tls_world


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("authority"), [*ADDRESSES])


@pytest.fixture
async def plain(tmp_path: Path, authority: Authority) -> AsyncIterator[World]:
    async with plain_world(tmp_path, authority) as world:
        yield world


@pytest.fixture
async def tls(tmp_path: Path, authority: Authority) -> AsyncIterator[World]:
    async with tls_world(tmp_path, authority) as world:
        yield world
