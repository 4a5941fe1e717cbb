"""The checks of `banger doctor`: a pure judgement of facts, and the few questions that other rooms answer."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from banger.core.debian import QEMU_PACKAGES
from banger.core.errors import BangerError
from banger.core.platforms import ARCHITECTURES
from banger.core.sizes import GIB, format_size
from banger.core.untrusted import printable
from banger.host.facts import Facts, Program

PYTHON: Final = (3, 11)
QEMU: Final = (7, 2)
GIT: Final = (2, 39)
FREE_FAIL_BYTES: Final = 2 * GIB
FREE_WARN_BYTES: Final = 10 * GIB
_SUBUIDS: Final = 65536


class Outcome(StrEnum):
    """How a check ended. Only a failure keeps `banger vm run` from working."""

    PASS = "pass"  # noqa: S105  an outcome, not a password
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """One line of the doctor's report. `mend` is a command, or a sentence where no command helps; empty on a pass."""

    id: str
    title: str
    outcome: Outcome
    detail: str
    mend: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A check that another room answers: `ask` returns the detail of a pass, or raises what is wrong."""

    id: str
    title: str
    ask: Callable[[], Awaitable[str]]
    otherwise: Outcome = Outcome.FAIL


def judge(facts: Facts) -> tuple[CheckResult, ...]:
    """Judge the facts. Same facts, same results, always in the same order."""
    return (
        _judge_python(facts),
        _judge_architecture(facts),
        _judge_agent(facts),
        _judge_version("qemu", "QEMU", facts.programs.get("qemu"), QEMU, QEMU_PACKAGES.get(facts.architecture, "QEMU")),
        _judge_foreign(facts),
        _judge_kvm(facts),
        _judge_version("git", "git", facts.programs.get("git"), GIT, "git"),
        _judge_programs(facts, "ssh", "OpenSSH client", ("ssh", "ssh-keygen"), "openssh-client"),
        _judge_programs(facts, "mke2fs", "file system tools", ("mke2fs",), "e2fsprogs"),
        _judge_programs(facts, "image", "Debian image builder", ("mmdebstrap", "apt-get", "dpkg-deb"), "mmdebstrap"),
        _judge_programs(facts, "kernel", "kernel module tools", ("depmod",), "kmod"),
        _judge_namespaces(facts),
        _judge_programs(facts, "passt", "network for --nat", ("passt", "prlimit"), "passt", missing=Outcome.WARN),
        _judge_space(facts),
        _judge_directories(facts),
    )


async def examine(facts: Facts, questions: Sequence[Question]) -> tuple[CheckResult, ...]:
    """The judgement of the facts and, after it, the answers of other rooms in the order given."""
    results = list(judge(facts))
    for question in questions:
        try:
            detail, outcome, mend = await question.ask(), Outcome.PASS, ""
        except BangerError as error:
            detail, outcome, mend = error.summary, question.otherwise, error.hint
        results.append(
            CheckResult(
                id=question.id, title=question.title, outcome=outcome, detail=printable(detail, limit=300), mend=mend
            )
        )
    return tuple(results)


def worst(results: Sequence[CheckResult]) -> Outcome:
    """The outcome of the whole: fail before warn before pass."""
    outcomes = {result.outcome for result in results}
    return next((outcome for outcome in (Outcome.FAIL, Outcome.WARN) if outcome in outcomes), Outcome.PASS)


def parse_version(text: str) -> tuple[int, ...] | None:
    """The first dotted number in what a program says of itself: `git version 2.39.5` is (2, 39, 5)."""
    match = re.search(r"\d+(?:\.\d+)+", text, re.ASCII)
    return tuple(map(int, match[0].split("."))) if match and len(match[0]) < 40 else None


def _install(*packages: str) -> str:
    return "apt-get install " + " ".join(packages)


def _dotted(version: Sequence[int]) -> str:
    return ".".join(map(str, version))


def _judge_python(facts: Facts) -> CheckResult:
    good = facts.python[:2] >= PYTHON
    return CheckResult(
        id="python",
        title="Python",
        outcome=Outcome.PASS if good else Outcome.FAIL,
        detail=_dotted(facts.python),
        mend="" if good else f"install Python {_dotted(PYTHON)} or newer and make .venv anew",
    )


def _judge_architecture(facts: Facts) -> CheckResult:
    good = facts.architecture in ARCHITECTURES
    return CheckResult(
        id="architecture",
        title="processor",
        outcome=Outcome.PASS if good else Outcome.FAIL,
        detail=printable(facts.architecture, limit=40),
        mend="" if good else f"use another computer: {' or '.join(ARCHITECTURES)}",
    )


def _judge_agent(facts: Facts) -> CheckResult:
    good = facts.architecture in facts.agents
    return CheckResult(
        id="agent",
        title="guest agent",
        outcome=Outcome.PASS if good else Outcome.FAIL,
        detail=f"built for {', '.join(facts.agents)}" if facts.agents else "not built",
        mend="" if good else "pip install --force-reinstall . (in a checkout: make run)",
    )


def _judge_version(
    check: str, title: str, program: Program | None, wanted: tuple[int, ...], package: str
) -> CheckResult:
    if program is None:
        return CheckResult(id=check, title=title, outcome=Outcome.FAIL, detail="not installed", mend=_install(package))
    version = parse_version(program.version)
    if version is None:
        return CheckResult(
            id=check,
            title=title,
            outcome=Outcome.WARN,
            detail=f"{program.path} does not say its version",
            mend=f"run it with --version; {_dotted(wanted)} or newer is needed",
        )
    good = version[: len(wanted)] >= wanted
    return CheckResult(
        id=check,
        title=title,
        outcome=Outcome.PASS if good else Outcome.FAIL,
        detail=f"{_dotted(version)} at {program.path}",
        mend="" if good else f"{_dotted(wanted)} or newer is needed: {_install(package)}",
    )


def _judge_foreign(facts: Facts) -> CheckResult:
    """Guests of another architecture than this computer's, which few ask for."""
    foreign = [architecture for architecture in ARCHITECTURES if architecture != facts.architecture]
    missing = [architecture for architecture in foreign if facts.programs.get(f"qemu for {architecture}") is None]
    return CheckResult(
        id="foreign",
        title="guests for other processors",
        outcome=Outcome.WARN if missing else Outcome.PASS,
        detail=f"no QEMU for {', '.join(missing)}" if missing else f"emulated: {', '.join(foreign)}",
        mend=_install(*(QEMU_PACKAGES[architecture] for architecture in missing)) if missing else "",
    )


def _judge_programs(
    facts: Facts, check: str, title: str, names: tuple[str, ...], package: str, *, missing: Outcome = Outcome.FAIL
) -> CheckResult:
    absent = [name for name in names if facts.programs.get(name) is None]
    return CheckResult(
        id=check,
        title=title,
        outcome=missing if absent else Outcome.PASS,
        detail=f"{', '.join(absent)} not installed" if absent else ", ".join(names),
        mend=_install(package) if absent else "",
    )


def _judge_kvm(facts: Facts) -> CheckResult:
    """Never a failure: guests then run under software emulation. Whether KVM really works is another room's answer."""
    details = {
        "missing": (
            "/dev/kvm is not there: guests run under software emulation",
            "load the module kvm_intel or kvm_amd",
        ),
        "denied": ("/dev/kvm may not be opened: guests run under software emulation", _kvm_mend(facts)),
    }
    detail, mend = details.get(facts.kvm, ("/dev/kvm can be opened", ""))
    outcome = Outcome.WARN if facts.kvm in details else Outcome.PASS
    return CheckResult(id="kvm", title="/dev/kvm", outcome=outcome, detail=detail, mend=mend)


def _kvm_mend(facts: Facts) -> str:
    return f"usermod -aG kvm {printable(facts.user, limit=64)}, then log in again"


def _judge_namespaces(facts: Facts) -> CheckResult:
    """Only who builds images without root needs them."""
    title = "user namespaces"
    if facts.uid == 0:
        return CheckResult(id="namespaces", title=title, outcome=Outcome.PASS, detail="not needed as root")
    mend = detail = ""
    if facts.user_namespaces == 0 or not facts.unprivileged_user_namespaces:
        detail = "switched off for ordinary users: the default image cannot be built"
        mend = "sysctl kernel.unprivileged_userns_clone=1 (Ubuntu: kernel.apparmor_restrict_unprivileged_userns=0)"
    elif facts.programs.get("newuidmap") is None:
        detail, mend = "newuidmap not installed: the default image cannot be built", _install("uidmap")
    elif facts.subuids < _SUBUIDS:
        detail = f"{facts.subuids} subordinate user ids, {_SUBUIDS} are needed to build the default image"
        user = printable(facts.user, limit=64)
        mend = f"usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {user}"
    outcome = Outcome.FAIL if detail else Outcome.PASS
    return CheckResult(
        id="namespaces", title=title, outcome=outcome, detail=detail or f"{facts.subuids} subordinate ids", mend=mend
    )


def _judge_space(facts: Facts) -> CheckResult:
    outcome = Outcome.PASS
    if facts.free_bytes < FREE_WARN_BYTES:
        outcome = Outcome.FAIL if facts.free_bytes < FREE_FAIL_BYTES else Outcome.WARN
    return CheckResult(
        id="space",
        title="disk space",
        outcome=outcome,
        detail=f"{format_size(facts.free_bytes)} free",
        mend="" if outcome is Outcome.PASS else f"free some: {format_size(FREE_WARN_BYTES)} is a comfortable start",
    )


def _judge_directories(facts: Facts) -> CheckResult:
    """What exists belongs to us and to nobody else's eyes; what is missing is made with the right mode when needed."""
    for directory in facts.directories:
        if directory.uid is None or directory.mode is None:
            continue
        path = printable(directory.path, limit=200)
        if directory.uid != facts.uid:
            return _wrong_directory(f"{path} belongs to user {directory.uid}", f"chown -R {facts.uid} {path}")
        if directory.mode & 0o077:
            return _wrong_directory(f"{path} is open to others (mode {directory.mode:04o})", f"chmod 0700 {path}")
    return CheckResult(id="directories", title="own directories", outcome=Outcome.PASS, detail="private")


def _wrong_directory(detail: str, mend: str) -> CheckResult:
    return CheckResult(id="directories", title="own directories", outcome=Outcome.FAIL, detail=detail, mend=mend)
