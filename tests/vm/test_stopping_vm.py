"""Stopping loses nothing; `make stops-vm` does it a hundred times."""

from __future__ import annotations

import pytest
from tests.reliability import stops
from tests.reliability.api import REAL_DAEMON, Api
from tests.world import World

pytestmark = [pytest.mark.vm, pytest.mark.timeout(600)]


def test_what_was_written_before_a_stop_is_there_after_the_next_start(world: World) -> None:
    stops.rounds(Api(world, module=REAL_DAEMON), 2, seed=3)
