import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from banger.hypervisor.console import ConsoleFollower, ConsoleRing, last_lines, read_console


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


@settings(max_examples=200)
@given(
    pieces=st.lists(st.binary(min_size=1, max_size=150), max_size=40),
    reads=st.lists(st.integers(1, 500), min_size=40, max_size=40),
)
def test_a_follower_that_keeps_up_misses_and_repeats_nothing(pieces: list[bytes], reads: list[int]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "c"
        follower = ConsoleFollower(path)
        assert follower.read(10) == b""
        ring = ConsoleRing(path, limit_bytes=400)
        received = b""
        for piece, size in zip(pieces, reads, strict=False):
            ring.append(piece)
            while data := follower.read(size):
                received += data
        ring.close()
        follower.close()
        assert received == b"".join(pieces)
        assert not follower.fell_behind


@settings(max_examples=100)
@given(lines=st.lists(st.integers(1, 60), max_size=60), taken=st.lists(st.integers(0, 300), min_size=60, max_size=60))
def test_a_follower_that_is_slow_repeats_nothing_and_says_so(lines: list[int], taken: list[int]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "c"
        ring, follower = ConsoleRing(path, limit_bytes=400), ConsoleFollower(path)
        number, received = 0, b""
        for count, size in zip(lines, taken, strict=False):
            for _ in range(count):
                ring.append(b"%04d\n" % number)
                number += 1
            received += follower.read(size) if size else b""
        while data := follower.read(1000):
            received += data
        ring.close()
        follower.close()
        wanted = b"".join(b"%04d\n" % line for line in range(number))
        if not follower.fell_behind:
            assert wanted.endswith(received)
            assert len(received) == len(wanted) or number * 5 > 200
        assert wanted[-200:].endswith(received[-5:])
        whole = [int(line) for line in received.split(b"\n") if len(line) == 4]
        assert follower.fell_behind or whole == sorted(set(whole))


def test_the_last_lines() -> None:
    content = b"one\ntwo\nthree"
    assert [last_lines(content, count) for count in range(5)] == [
        b"",
        b"three",
        b"two\nthree",
        content,
        content,
    ]
    assert last_lines(content + b"\n", 1) == b"three\n"
    assert last_lines(b"\n\n", 1) == b"\n"
    assert last_lines(b"", 3) == b""
