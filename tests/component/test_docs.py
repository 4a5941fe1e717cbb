"""Every command in docs/vms.md works as it stands there, one after the other."""

from __future__ import annotations

import re
import shlex
import signal
from pathlib import Path

from tests.component.fake_world import FakeWorld
from tests.component.test_life import until

PAGE = Path(__file__).parents[2] / "docs" / "vms.md"
# Until Ctrl-C; and nothing has written to the fake machine's console.
UNTIL_INTERRUPTED = ("vm", "forward")


def commands() -> list[list[str]]:
    lines = re.findall(r"^    banger (.*?)(?: +# .*)?$", PAGE.read_text(), re.MULTILINE)
    return [shlex.split(line) for line in lines]


def test_every_command_of_the_page(world: FakeWorld) -> None:
    assert len(commands()) > 20
    world.keep_guests_apart()
    world.start_daemon()
    for words in commands():
        if tuple(words[:2]) == UNTIL_INTERRUPTED:
            process = world.start(*words)
            assert process.stdout is not None
            assert b"8080" in process.stdout.readline()
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=60)
        else:
            world.succeed(*words)
    until(lambda: world.vms() == [])
