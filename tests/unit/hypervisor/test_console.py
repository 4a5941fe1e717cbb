import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from banger.hypervisor.console import ConsoleRing, read_console


def test_a_guest_that_prints_for_ever_holds_no_more_than_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "console.log"
    ring = ConsoleRing(path, limit_bytes=1000)
    for number in range(2000):
        ring.append(b"%06d\n" % number)
    ring.close()
    content = read_console(path)
    assert 500 - 7 <= len(content) <= 1000
    assert content.endswith(b"001999\n")
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) <= 1000


@settings(max_examples=50)
@given(pieces=st.lists(st.binary(max_size=300), max_size=40))
def test_what_is_kept_is_the_end_of_what_was_printed(pieces: list[bytes]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "c"
        ring = ConsoleRing(path, limit_bytes=400)
        for piece in pieces:
            ring.append(piece)
        ring.close()
        assert b"".join(piece[-200:] for piece in pieces).endswith(read_console(path))


def test_a_reopened_ring_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "c"
    for text in (b"one", b"two"):
        ring = ConsoleRing(path, limit_bytes=400)
        ring.append(text)
        ring.close()
    assert read_console(path) == b"onetwo"


def test_nothing_printed_is_nothing_to_read(tmp_path: Path) -> None:
    assert read_console(tmp_path / "c") == b""


def test_a_ring_that_could_not_turn_goes_on_when_it_can(tmp_path: Path) -> None:
    path = tmp_path / "there" / "c"
    path.parent.mkdir()
    ring = ConsoleRing(path, limit_bytes=20)
    ring.append(b"0123456789")
    path.parent.rename(tmp_path / "away")
    ring.append(b"lost")
    (tmp_path / "away").rename(path.parent)
    ring.append(b"abc")
    ring.close()
    assert read_console(path) == b"0123456789abc"
