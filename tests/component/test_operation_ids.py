"""The id in an error's parentheses finds what the daemon wrote about it."""

from __future__ import annotations

import json
import re

import pytest
from tests.component.fake_world import FakeWorld


@pytest.mark.parametrize(
    "words",
    [
        ("vm", "exec", "nobody", "--", "true"),
        ("vm", "show", "nobody"),
        ("vm", "create", "box", "--kernel", "no-such-kernel"),
        ("image", "show", "nothing"),
        ("image", "pull", "no-such-name-anywhere"),
    ],
    ids=" ".join,
)
def test_an_error_is_found_in_the_log_by_its_id(fake_world: FakeWorld, words: tuple[str, ...]) -> None:
    done = fake_world.banger(*words)
    assert done.returncode != 0
    sentence = done.stderr.decode().splitlines()[0]
    found = re.search(r" \((\S+)\)$", sentence)
    assert found is not None, sentence
    log = (fake_world.state / "daemon.log").read_text()
    assert [line for line in log.splitlines() if found[1] in line], log
    if "exec" not in words:
        operation = json.loads(fake_world.banger(*words, "--json").stdout)["error"]["operation"]
        assert operation != found[1]
        assert operation in (fake_world.state / "daemon.log").read_text()
