from __future__ import annotations

from banger.core.nearest import hint_nearest


def test_the_nearest_or_what_there_is() -> None:
    assert hint_nearest("bxo", ["otter", "box"], otherwise="see the list") == "did you mean `box`?"
    assert hint_nearest("zebra", ["otter", "box"], otherwise="see the list") == "see the list"
    assert hint_nearest("box", [], otherwise="see the list") == "see the list"
    assert hint_nearest("x" * 100_000, ["box"], otherwise="see the list") == "see the list"
