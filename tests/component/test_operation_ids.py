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


def test_a_name_that_nothing_has_gets_the_nearest(fake_world: FakeWorld) -> None:
    fake_world.succeed("vm", "create", "crate", "--no-start")
    image = fake_world.json("image", "list")["images"][0]["name"]
    kernel = fake_world.json("kernel", "list")["kernels"][0]["name"]
    for words, meant in (
        (("vm", "show", "crete"), "crate"),
        (("vm", "start", "crtae"), "crate"),
        (("image", "show", image[:-1]), image),
        (("image", "delete", image[:-1]), image),
        (("kernel", "show", kernel[:-1]), kernel),
        (("vm", "create", "other", "--kernel", kernel[:-1]), kernel),
    ):
        done = fake_world.banger(*words)
        assert f"did you mean `{meant}`?".encode() in done.stderr, (words, done)
