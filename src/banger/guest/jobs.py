"""Jobs: commands in a guest that run without a client. A script in the guest keeps their records.

Whatever it says is the guest's word.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final, Literal

from banger.core.strict import parse_object

JOBS_LIMIT: Final = 500  # the newest
JOBS_KEPT: Final = 100  # of those that have ended
LOG_LIMIT_BYTES: Final = 16 << 20  # the older half of it is dropped at a time
LIST_LIMIT_BYTES: Final = 4 << 20
NUMBER_LIMIT: Final = 10**6
_SCRIPT: Final = Path(__file__).with_name("jobs.sh")
_KEEPER: Final = Path(__file__).with_name("job_log.sh")
_LINE: Final = re.compile(
    r"([0-9]{1,6}) (running|ended|lost) (-|[0-9]{1,3}) (-|[0-9]{1,12}) ([0-9]{1,18}) ([0-9]{1,18}) (.*)"
)
_USER: Final = re.compile(r"[!-~]{1,120}")
_WORDS_SHOWN: Final = 40
_WORD_SHOWN: Final = 200

State = Literal["running", "ended", "lost"]


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What a job is. `command` is cut: it is for people to read. `user` is None for root."""

    command: tuple[str, ...]
    cwd: str
    user: str | None
    began_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job as the guest reports it. `lost`: it ended with its machine, and it is not known how.

    `ended_s` is by the guest's clock. Of its output `log_bytes` are kept; `dropped_bytes` before them are not.
    """

    number: int
    state: State
    about: About
    status: int | None = None
    ended_s: float | None = None
    log_bytes: int = 0
    dropped_bytes: int = 0


def script(verb: str, number: int | None, *arguments: str) -> tuple[str, ...]:
    """The guest command that performs `verb` of the script."""
    return ("sh", "-c", _SCRIPT.read_text(), "banger", verb, "" if number is None else str(number), *arguments)


def supervised(
    number: int, command: Sequence[str], *, programs: Sequence[str], limit_s: float | None = None
) -> tuple[str, ...]:
    """The command that starts a job: it ends at once, and the job runs in a session of its own, for `limit_s` at most.

    setsid(1) forks because the agent starts each program as the leader of a group. `programs` are the places of mise,
    if it is to be asked.
    """
    limit = "" if limit_s is None else f"{max(1, round(limit_s))}"
    log = (_KEEPER.read_text(), str(LOG_LIMIT_BYTES // 2))
    return ("setsid", *script("look-after", number, " ".join(programs), limit, *log, *command))


def new_job(about: About, owner: str) -> tuple[str, ...]:
    """The command that makes the files of a new job, and prints its number."""
    return script("make", None, encode_about(about), owner, str(JOBS_KEPT))


def encode_about(about: About) -> str:
    """One line for the guest to keep."""
    shown = tuple(word[:_WORD_SHOWN] for word in about.command[:_WORDS_SHOWN])
    return json.dumps(asdict(replace(about, command=shown)))


def parse_number(said: bytes) -> int | None:
    """The number of a new job."""
    text = said.decode("ascii", "replace").strip()
    return int(text) if re.fullmatch(r"[1-9][0-9]{0,5}", text) else None


def parse_jobs(said: bytes) -> list[Job]:
    """The jobs that the guest reports; lines that make no sense are left out."""
    jobs: dict[int, Job] = {}
    for line in said.decode("utf-8", "replace").split("\n")[: JOBS_LIMIT + 1]:
        match = _LINE.fullmatch(line)
        about = _parse_about(match[7]) if match is not None else None
        if match is None or about is None:
            continue
        number, state, status, ended = int(match[1]), match[2], match[3], match[4]
        jobs[number] = Job(
            number=number,
            state=state,  # type: ignore[arg-type]  # one of the three that the pattern takes
            status=int(status) & 0xFF if status != "-" else None,
            ended_s=float(ended) if ended != "-" else None,
            log_bytes=int(match[5]),
            dropped_bytes=int(match[6]),
            about=about,
        )
    return [jobs[number] for number in sorted(jobs)]


def _parse_about(text: str) -> About | None:
    try:
        value: Mapping[str, object] = parse_object(text)
    except ValueError:
        return None
    command, cwd, user, began_s = (value.get(name) for name in ("command", "cwd", "user", "began_s"))
    if not isinstance(command, list) or not all(isinstance(word, str) for word in command):
        return None
    if not isinstance(cwd, str) or not isinstance(began_s, int | float):
        return None
    if user is not None and not (isinstance(user, str) and _USER.fullmatch(user)):
        return None
    if not 0 <= began_s < 1e12:  # neither infinite nor no number at all
        return None
    return About(command=tuple(command), cwd=cwd, user=user, began_s=float(began_s))
