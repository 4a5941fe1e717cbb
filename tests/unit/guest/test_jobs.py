"""What the guest says of its jobs, and what it is told to run."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from banger.core.commands import TOTAL_LIMIT_BYTES
from banger.core.errors import Invalid
from banger.daemon.operations.jobs import check_room_for_script
from banger.guest.jobs import (
    JOBS_LIMIT,
    LOG_LIMIT_BYTES,
    About,
    encode_about,
    parse_jobs,
    parse_number,
    script,
    supervised,
)

ABOUT = About(command=("make", "a b\n\x1b[2J"), cwd="/root/w", user=None, began_s=12.5)


KEEPER = supervised(1, ["x"], programs=())[9:11]  # what keeps the log, and how much of it


def line(number: int = 1, state: str = "running", status: str = "-", ended: str = "-") -> str:
    return f"{number} {state} {status} {ended} 17 4 {encode_about(ABOUT)}\n"


def test_what_was_written_is_read_again() -> None:
    (job,) = parse_jobs(line(3, "ended", "7", "1000").encode())
    assert (job.number, job.state, job.status, job.ended_s, job.about) == (3, "ended", 7, 1000.0, ABOUT)
    assert (job.log_bytes, job.dropped_bytes) == (17, 4)
    assert "\n" not in encode_about(ABOUT)
    (running,) = parse_jobs(line().encode())
    assert (running.status, running.ended_s) == (None, None)


def test_a_long_command_is_cut() -> None:
    about = About(command=("x" * 10_000, *["word"] * 4000), cwd="/", user="u", began_s=0)
    assert len(encode_about(about)) < 2000


@pytest.mark.parametrize(
    "text",
    [
        "", "x", "1 running", line(1, "dead"), line(1, "ended", "1234"), line(0).replace("0 ", "-1 ", 1),
        "1 running - - 17 4 []\n", "1 running - - 17 4 " + "[" * 100_000 + "\n", "1 running - - 17 4 {}\n",
        line().replace('"began_s": 12.5', '"began_s": NaN'), line().replace('"began_s": 12.5', '"began_s": -1'),
        line().replace('"user": null', '"user": "\\ud800"'),
        line().replace('"user": null', '"user": ""'),
        line().replace('"cwd": "/root/w"', '"cwd": 3'), line().replace('["make"', '[["make"]'), "1234567" + line(),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_left_out(text: str) -> None:
    assert parse_jobs(text.encode()) == []
    assert [job.number for job in parse_jobs((text.rstrip("\n") + "\n" + line(2)).encode())] == [2]


@given(st.binary())
def test_anything_may_be_said(said: bytes) -> None:
    assert len(parse_jobs(said)) <= JOBS_LIMIT
    assert parse_number(said) is None or 0 < (parse_number(said) or 0) < 10**6


def test_numbers_of_new_jobs() -> None:
    assert parse_number(b"12\n") == 12
    for said in (b"", b"0\n", b"-1", b"1\n2\n", b"1234567", "\N{SUPERSCRIPT TWO}".encode()):
        assert parse_number(said) is None


def test_a_job_begins_with_one_program_and_its_words_as_they_are() -> None:
    argv = supervised(4, ["echo", "a b", "$x"], programs=("mise",))
    assert argv[0] == "setsid"
    assert argv[6:9] == ("4", "mise", "")
    assert argv[-4:] == (str(LOG_LIMIT_BYTES // 2), "echo", "a b", "$x")
    assert supervised(4, ["x"], programs=(), limit_s=60.0)[7:9] == ("", "60")
    with pytest.raises(Invalid):  # the script goes with it
        check_room_for_script(["x" * (TOTAL_LIMIT_BYTES - sum(map(len, argv)))], {})


SHELLS = [words for words in (("dash",), ("bash",), ("busybox", "sh")) if shutil.which(words[0])]


@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
def test_every_shell_understands_the_script(tmp_path: Path, shell: tuple[str, ...]) -> None:
    text = script("list", None, "5")[2].replace("/var/log/banger/jobs", str(tmp_path / "banger" / "jobs"))

    def run(*words: str, first: tuple[str, ...] = ()) -> bytes:
        command = [*first, *shell, "-c", text, "banger", *words]
        return subprocess.run(command, stdout=subprocess.PIPE, check=not first).stdout

    assert run("list", "", "5") == b""
    assert run("make", "", json.dumps({"a": "'\\n"}), str(os.getuid()), "9") == b"1\n"
    said = run("look-after", "1", "", "", *KEEPER, "sh", "-c", "echo said; exit 6", first=("setsid", "--wait"))
    assert said == b"begun\n"
    run("begun", "1")
    run("wait", "1")
    assert run("logs", "1", "yes", "") == b"said\n"
    assert run("list", "", "5").startswith(b"1 ended 6 ")
    run("forget", "1")
    assert run("list", "", "5") == b""


@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
def test_a_job_begins_also_when_nobody_listens_any_more(tmp_path: Path, shell: tuple[str, ...]) -> None:
    """An emulated guest is so slow that the stream in which it would say so has ended."""
    text = script("list", None, "5")[2].replace("/var/log/banger/jobs", str(tmp_path / "banger" / "jobs"))
    run = [*shell, "-c", text, "banger"]
    subprocess.run([*run, "make", "", "{}", str(os.getuid()), "9"], stdout=subprocess.DEVNULL, check=True)
    reader, writer = os.pipe()
    os.close(reader)
    # What the command does with SIGPIPE is its own affair: yes(1) ends by it.
    command = "(yes; echo $? >&2) | head -n 1"
    subprocess.run(
        [*run, "look-after", "1", "", "", *KEEPER, "sh", "-c", command],
        stdout=writer,
        start_new_session=True,
        check=True,
    )
    os.close(writer)
    assert subprocess.run([*run, "logs", "1", "", ""], capture_output=True, check=True).stdout in (
        b"y\n141\n",
        b"141\ny\n",
    )
    assert subprocess.run([*run, "list", "", "5"], capture_output=True, check=True).stdout.startswith(b"1 ended 0 ")


@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
@pytest.mark.parametrize(
    ("limit", "command", "status"),
    [
        ("600", "exit 7", 7),
        ("1", "sleep 600", 124),
        ("1", "trap 'exit 3' TERM; while :; do :; done", 124),
        ("1", "trap '' TERM; while :; do sleep 1; done", 124),
        ("600", "kill -s USR1 0", 138),
        ("600", "trap '' TERM; kill -s TERM 0; exit 5", 5),
    ],
)
def test_a_job_has_its_time_and_no_more(
    tmp_path: Path, shell: tuple[str, ...], limit: str, command: str, status: int
) -> None:
    text = script("list", None, "5")[2].replace("/var/log/banger/jobs", str(tmp_path / "banger" / "jobs"))
    run = [*shell, "-c", text, "banger"]
    subprocess.run([*run, "make", "", "{}", str(os.getuid()), "9"], stdout=subprocess.DEVNULL, check=True)
    began = ["setsid", "--wait", *run, "look-after", "1", "", limit, *KEEPER, *shell, "-c", command]
    subprocess.run(began, check=False, timeout=60)
    listed = subprocess.run([*run, "list", "", "5"], capture_output=True, check=True).stdout
    assert listed.startswith(b"1 ended %d " % status), listed
    until(lambda: not any(str(tmp_path) in cmdline(pid) for pid in pids()))  # the timer and the keeper of the log too


class Books:
    """The script with its books under a directory of this host."""

    def __init__(self, directory: Path, shell: tuple[str, ...]) -> None:
        self.place = directory / "banger" / "jobs"
        text = script("list", None, "5")[2].replace("/var/log/banger/jobs", str(self.place))
        self._command = [*shell, "-c", text, "banger"]

    def run(self, *words: str) -> bytes:
        return subprocess.run([*self._command, *words], stdout=subprocess.PIPE, check=True).stdout

    def make(self, kept: int = 9) -> str:
        return self.run("make", "", "{}", str(os.getuid()), str(kept)).decode().strip()

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [*self._command, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
        )

    def look_after(self, number: str, command: str) -> subprocess.Popen[bytes]:
        return self.start("look-after", number, "", "", KEEPER[0], str(HALF), "sh", "-c", command)

    def sizes(self, number: str) -> tuple[int, int]:
        """Bytes kept and bytes dropped, as the list tells."""
        lines = [line.split() for line in self.run("list", "", "500").splitlines()]
        return next((int(words[4]), int(words[5])) for words in lines if words[0] == number.encode())


def until(true: Callable[[], bool]) -> None:
    for _ in range(600):
        if true():
            return
        time.sleep(0.05)
    raise AssertionError


def lines_from(begin: int, end: int) -> bytes:
    return b"".join(b"line %09d %b\n" % (number, b"x" * 48) for number in range(begin, end))


HALF = 2 << 20
LINES = 8192
PIECE = len(lines_from(0, LINES))
SAY = """awk -v begin=%d -v end=%d 'BEGIN {
    for (i = begin; i < end; i++) printf("line %%09d xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\\n", i)
}'"""


@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
def test_a_log_keeps_the_newest(tmp_path: Path, shell: tuple[str, ...]) -> None:
    books = Books(tmp_path, shell)
    number = books.make()
    books.look_after(number, SAY % (0, 20 * LINES)).communicate(timeout=60)
    kept, dropped = books.sizes(number)
    assert kept + dropped == 20 * PIECE
    assert HALF - (1 << 20) < kept <= 2 * HALF < 20 * PIECE
    assert sum(file.stat().st_size for file in books.place.iterdir()) < 2 * HALF + 4096
    whole = lines_from(0, 20 * LINES)
    assert books.run("logs", number, "", "") == whole[dropped:]
    assert books.run("logs", number, "yes", "3") == whole[-3 * (PIECE // LINES) :]
    assert books.run("logs", number, "", "0") == b""


@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
def test_who_follows_gets_all_of_a_log_that_goes_round(tmp_path: Path, shell: tuple[str, ...]) -> None:
    books = Books(tmp_path, shell)
    go = tmp_path / "go"
    os.mkfifo(go)
    number = books.make()
    steps = " ".join(f"read -r _ <&5; {SAY % (step * LINES, (step + 1) * LINES)};" for step in range(12))
    with books.look_after(number, f"exec 5<{go}; {steps}") as job, go.open("wb", buffering=0) as steering:
        books.run("begun", number)
        with books.start("logs", number, "yes", "") as following:
            assert following.stdout is not None
            for step in range(12):
                steering.write(b"\n")
                said = following.stdout.read(PIECE)
                assert said == lines_from(step * LINES, (step + 1) * LINES)
            assert following.communicate(timeout=60) == (b"", b"")
        job.communicate(timeout=60)
    assert books.sizes(number)[1] > HALF


@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
def test_what_a_job_leaves_running_goes_on_being_kept(tmp_path: Path, shell: tuple[str, ...]) -> None:
    books = Books(tmp_path, shell)
    number = books.make()
    go = tmp_path / "go"
    os.mkfifo(go)
    books.look_after(number, f"echo first; (read -r _ <{go}; echo second) & exit 3").communicate(timeout=60)
    assert books.run("list", "", "5").startswith(b"1 ended 3 ")
    assert books.run("logs", number, "", "") == b"first\n"
    go.write_bytes(b"\n")
    until(lambda: books.run("logs", number, "", "") == b"first\nsecond\n")


@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
def test_the_last_words_of_what_is_killed(tmp_path: Path, shell: tuple[str, ...]) -> None:
    books = Books(tmp_path, shell)
    number = books.make()
    with books.look_after(number, "echo last words; kill -s KILL 0"):
        pass
    until(lambda: books.run("logs", number, "", "") == b"last words\n")


@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
def test_the_newest_that_ended_are_kept_and_all_that_run(tmp_path: Path, shell: tuple[str, ...]) -> None:
    books = Books(tmp_path, shell)
    go = tmp_path / "go"
    os.mkfifo(go)
    running = books.look_after(books.make(), f"read -r _ <{go}")
    books.run("begun", "1")
    for _ in range(6):
        number = books.make(kept=3)
        books.look_after(number, "true").communicate(timeout=60)
    books.make(kept=3)  # this one is about to begin
    listed = [int(line.split()[0]) for line in books.run("list", "", "500").splitlines()]
    assert listed == [1, 5, 6, 7, 8]
    assert {int(file.name.split(".")[0]) for file in books.place.iterdir()} == set(listed)
    go.write_bytes(b"\n")
    running.communicate(timeout=60)


def test_the_log_of_a_job_that_an_older_banger_began(tmp_path: Path) -> None:
    books = Books(tmp_path, SHELLS[0])
    number = books.make()
    for kind in ("more", "ring", "pipe"):
        (books.place / f"{number}.{kind}").unlink()
    (books.place / f"{number}.log").write_text("said\n")
    (books.place / f"{number}.status").write_text("0 7\n")
    assert books.run("list", "", "5") == b"1 ended 0 7 5 0 {}\n"
    assert books.run("logs", number, "yes", "") == b"said\n"


def pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdecimal()]


def cmdline(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    except OSError:
        return ""
