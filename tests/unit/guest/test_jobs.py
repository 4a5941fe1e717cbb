"""What the guest says of its jobs, and what it is told to run."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from banger.guest.jobs import JOBS_LIMIT, About, encode_about, parse_jobs, parse_number, script, supervised

ABOUT = About(command=("make", "a b\n\x1b[2J"), cwd="/root/w", user=None, began_s=12.5)


def line(number: int = 1, state: str = "running", status: str = "-", ended: str = "-") -> str:
    return f"{number} {state} {status} {ended} 17 {encode_about(ABOUT)}\n"


def test_what_was_written_is_read_again() -> None:
    (job,) = parse_jobs(line(3, "ended", "7", "1000").encode())
    assert (job.number, job.state, job.status, job.ended_s, job.log_bytes, job.about) == (
        3,
        "ended",
        7,
        1000.0,
        17,
        ABOUT,
    )
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
        "1 running - - 17 []\n", "1 running - - 17 " + "[" * 100_000 + "\n", "1 running - - 17 {}\n",
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
    assert argv[-6:] == ("4", "mise", "", "echo", "a b", "$x")
    assert supervised(4, ["x"], programs=(), limit_s=60.0)[-3:] == ("", "60", "x")
    assert len(script("list", None, "5")[2]) < 8000


SHELLS = [words for words in (("dash",), ("bash",), ("busybox", "sh")) if shutil.which(words[0])]


@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
def test_every_shell_understands_the_script(tmp_path: Path, shell: tuple[str, ...]) -> None:
    text = script("list", None, "5")[2].replace("/var/log/banger/jobs", str(tmp_path / "banger" / "jobs"))

    def run(*words: str, first: tuple[str, ...] = ()) -> bytes:
        command = [*first, *shell, "-c", text, "banger", *words]
        return subprocess.run(command, stdout=subprocess.PIPE, check=not first).stdout

    assert run("list", "", "5") == b""
    assert run("make", "", json.dumps({"a": "'\\n"}), str(os.getuid())) == b"1\n"
    assert run("look-after", "1", "", "", "sh", "-c", "echo said; exit 6", first=("setsid", "--wait")) == b"begun\n"
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
    subprocess.run([*run, "make", "", "{}", str(os.getuid())], stdout=subprocess.DEVNULL, check=True)
    reader, writer = os.pipe()
    os.close(reader)
    # What the command does with SIGPIPE is its own affair: yes(1) ends by it.
    command = "(yes; echo $? >&2) | head -n 1"
    subprocess.run(
        [*run, "look-after", "1", "", "", "sh", "-c", command], stdout=writer, start_new_session=True, check=True
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
    subprocess.run([*run, "make", "", "{}", str(os.getuid())], stdout=subprocess.DEVNULL, check=True)
    began = ["setsid", "--wait", *run, "look-after", "1", "", limit, *shell, "-c", command]
    subprocess.run(began, check=False, timeout=60)
    listed = subprocess.run([*run, "list", "", "5"], capture_output=True, check=True).stdout
    assert listed.startswith(b"1 ended %d " % status), listed
    assert not [pid for pid in pids() if str(tmp_path) in cmdline(pid)]  # the timer has gone too


def pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdecimal()]


def cmdline(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    except OSError:
        return ""
