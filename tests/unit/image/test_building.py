"""mmdebstrap's lines as progress, and as the reason of a failure."""

from __future__ import annotations

from banger.core.progress import Progress
from banger.image.building import BuildLog


def feed(log: BuildLog, text: str) -> list[Progress]:
    return [progress for line in text.splitlines() if (progress := log.feed(line.encode())) is not None]


def test_stages_and_packages() -> None:
    told = feed(
        BuildLog(),
        """\
I: automatically chosen format: tar
I: running apt-get update...
Get:1 http://mirror.example/debian bookworm InRelease [151 kB]
I: installing remaining packages inside the chroot...
0 upgraded, 2 newly installed, 0 to remove and 0 not upgraded.
Get:1 http://mirror.example/debian bookworm/main amd64 less amd64 590-2.1 [131 kB]
Unpacking less (590-2.1) ...
Setting up less (590-2.1) ...
Setting up libssl3:amd64 (3.0.17-1) ...
Setting up surprise (1) ...
I: creating tarball...
""",
    )
    assert [(progress.text, progress.done, progress.total) for progress in told] == [
        ("reading Debian's package lists", None, None),
        ("installing the other packages", None, None),
        ("downloading less", 0, 2),
        ("setting up less", 1, 2),
        ("setting up libssl3", 2, 2),
        ("setting up surprise", 2, 2),
        ("collecting the files", None, None),
    ]


def test_the_first_error_is_the_reason_and_the_last_lines_are_kept() -> None:
    log = BuildLog()
    feed(log, "".join(f"line {number}\n" for number in range(100)))
    assert log.reason == "line 99"
    feed(log, "Err:1 http://mirror.example bookworm InRelease\nE: Failed to fetch\nE: apt-get update failed\nbye\n")
    assert log.reason == "Err:1 http://mirror.example bookworm InRelease"
    assert log.last_lines.splitlines()[-1] == "bye"
    assert len(log.last_lines.splitlines()) == 30


def test_nothing_said() -> None:
    log = BuildLog()
    assert log.feed(b"  ") is None
    assert log.reason == "it said nothing"


def test_what_is_shown_is_printable() -> None:
    log = BuildLog()
    log.feed(b"E: \x1b[2Jcleared\xff" + b"x" * 1000)
    assert log.reason.isprintable()
    assert len(log.reason) < 400
