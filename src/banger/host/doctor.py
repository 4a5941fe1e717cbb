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
from banger.host.facts import Facts
from banger.host.packages import Fix, plan_commands, plan_install

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
    """One line of the doctor's report. `fix` is a command, or a sentence where no command helps; empty on a pass.

    `commands` are the argument vectors that `banger doctor --fix` runs; none where somebody has to decide.
    """

    id: str
    title: str
    outcome: Outcome
    detail: str
    fix: str = ""
    commands: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A check that another room answers: `ask` returns the detail of a pass, or raises what is wrong."""

    id: str
    title: str
    ask: Callable[[], Awaitable[str]]
    otherwise: Outcome = Outcome.FAIL
    commands: tuple[tuple[str, ...], ...] = ()
    """The commands that fix it, if its hint says just these."""


def judge(facts: Facts) -> tuple[CheckResult, ...]:
    """Judge the facts. Same facts, same results, always in the same order."""
    return (
        _judge_python(facts),
        _judge_architecture(facts),
        _judge_agent(facts),
        _judge_version(facts, "qemu", "QEMU", QEMU, QEMU_PACKAGES.get(facts.architecture, "QEMU")),
        _judge_foreign(facts),
        _judge_kvm(facts),
        _judge_version(facts, "git", "git", GIT, "git"),
        _judge_programs(facts, "ssh", "OpenSSH client", ("ssh", "ssh-keygen"), "openssh-client"),
        _judge_programs(facts, "mke2fs", "file system tools", ("mke2fs",), "e2fsprogs"),
        _judge_programs(
            facts, "image", "Debian image builder", ("mmdebstrap", "apt-get", "dpkg-deb"), "mmdebstrap", "apt", "dpkg"
        ),
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
            detail, outcome, fix = await question.ask(), Outcome.PASS, Fix("")
        except BangerError as error:
            detail, outcome, fix = error.summary, question.otherwise, Fix(error.hint, question.commands)
        results.append(_result(question.id, question.title, outcome, printable(detail, limit=300), fix))
    return tuple(results)


def parse_version(text: str) -> tuple[int, ...] | None:
    """The first dotted number in what a program says of itself: `git version 2.39.5` is (2, 39, 5)."""
    match = re.search(r"\d+(?:\.\d+)+", text, re.ASCII)
    return tuple(map(int, match[0].split("."))) if match and len(match[0]) < 40 else None


def _install(facts: Facts, *packages: str) -> Fix:
    return plan_install(packages, facts.family, root=facts.uid == 0)


def _result(check: str, title: str, outcome: Outcome, detail: str, fix: Fix) -> CheckResult:
    return CheckResult(id=check, title=title, outcome=outcome, detail=detail, fix=fix.text, commands=fix.commands)


def _dotted(version: Sequence[int]) -> str:
    return ".".join(map(str, version))


def _judge_python(facts: Facts) -> CheckResult:
    good = facts.python[:2] >= PYTHON
    return CheckResult(
        id="python",
        title="Python",
        outcome=Outcome.PASS if good else Outcome.FAIL,
        detail=_dotted(facts.python),
        fix="" if good else f"install Python {_dotted(PYTHON)} or newer and make .venv anew",
    )


def _judge_architecture(facts: Facts) -> CheckResult:
    good = facts.architecture in ARCHITECTURES
    return CheckResult(
        id="architecture",
        title="processor",
        outcome=Outcome.PASS if good else Outcome.FAIL,
        detail=printable(facts.architecture, limit=40),
        fix="" if good else f"use another computer: {' or '.join(ARCHITECTURES)}",
    )


def _judge_agent(facts: Facts) -> CheckResult:
    good = facts.architecture in facts.agents
    return CheckResult(
        id="agent",
        title="guest agent",
        outcome=Outcome.PASS if good else Outcome.FAIL,
        detail=f"built for {', '.join(facts.agents)}" if facts.agents else "not built",
        fix="" if good else "pip install --force-reinstall . (in a checkout: make run)",
    )


def _judge_version(facts: Facts, check: str, title: str, wanted: tuple[int, ...], package: str) -> CheckResult:
    program = facts.programs.get(check)
    install = _install(facts, package)
    if program is None:
        return _result(check, title, Outcome.FAIL, "not installed", install)
    version = parse_version(program.version)
    if version is None:
        fix = Fix(f"run it with --version; {_dotted(wanted)} or newer is needed")
        return _result(check, title, Outcome.WARN, f"{program.path} does not say its version", fix)
    good = version[: len(wanted)] >= wanted
    fix = Fix("") if good else Fix(f"{_dotted(wanted)} or newer is needed: {install.text}", install.commands)
    detail = f"{_dotted(version)} at {program.path}"
    return _result(check, title, Outcome.PASS if good else Outcome.FAIL, detail, fix)


def _judge_foreign(facts: Facts) -> CheckResult:
    """Guests of another architecture than this computer's, which few people need."""
    title = "guests for other processors"
    foreign = [architecture for architecture in ARCHITECTURES if architecture != facts.architecture]
    missing = [architecture for architecture in foreign if facts.programs.get(f"qemu for {architecture}") is None]
    if not missing:
        return _result("foreign", title, Outcome.PASS, f"emulated: {', '.join(foreign)}", Fix(""))
    fix = Fix(_install(facts, *(QEMU_PACKAGES[architecture] for architecture in missing)).text)  # few need it
    return _result("foreign", title, Outcome.WARN, f"no QEMU for {', '.join(missing)}", fix)


def _judge_programs(
    facts: Facts, check: str, title: str, names: tuple[str, ...], *packages: str, missing: Outcome = Outcome.FAIL
) -> CheckResult:
    absent = [name for name in names if facts.programs.get(name) is None]
    if not absent:
        return _result(check, title, Outcome.PASS, ", ".join(names), Fix(""))
    return _result(check, title, missing, f"{', '.join(absent)} not installed", _install(facts, *packages))


def _judge_kvm(facts: Facts) -> CheckResult:
    """Never a failure: guests then run under software emulation. Whether KVM really works is another room's answer."""
    title = "/dev/kvm"
    if facts.kvm == "missing":
        detail, fix = "is not there", Fix("load the module kvm_intel or kvm_amd")
    elif facts.kvm == "denied":
        command = ("usermod", "-aG", "kvm", facts.user)
        detail, fix = "may not be opened", plan_commands(command, root=facts.uid == 0, after=", then log in again")
    else:
        return _result("kvm", title, Outcome.PASS, "/dev/kvm can be opened", Fix(""))
    detail = f"/dev/kvm {detail}: guests run under software emulation"
    return _result("kvm", title, Outcome.WARN, detail, fix)


def _judge_namespaces(facts: Facts) -> CheckResult:
    """Only who builds images without root needs them."""
    title = "user namespaces"
    if facts.uid == 0:
        return CheckResult(id="namespaces", title=title, outcome=Outcome.PASS, detail="not needed as root")
    if facts.user_namespaces == 0 or not facts.unprivileged_user_namespaces:
        detail = "switched off for ordinary users: the default image cannot be built"
        knobs = "sysctl kernel.unprivileged_userns_clone=1 (Ubuntu: kernel.apparmor_restrict_unprivileged_userns=0)"
        return _result("namespaces", title, Outcome.FAIL, detail, Fix(knobs))
    if facts.programs.get("newuidmap") is None:
        detail = "newuidmap not installed: the default image cannot be built"
        return _result("namespaces", title, Outcome.FAIL, detail, _install(facts, "uidmap"))
    if facts.subuids < _SUBUIDS:
        detail = f"{facts.subuids} subordinate user ids, {_SUBUIDS} are needed to build the default image"
        command = ("usermod", "--add-subuids", "100000-165535", "--add-subgids", "100000-165535", facts.user)
        return _result("namespaces", title, Outcome.FAIL, detail, plan_commands(command, root=False))
    return _result("namespaces", title, Outcome.PASS, f"{facts.subuids} subordinate ids", Fix(""))


def _judge_space(facts: Facts) -> CheckResult:
    outcome = Outcome.PASS
    if facts.free_bytes < FREE_WARN_BYTES:
        outcome = Outcome.FAIL if facts.free_bytes < FREE_FAIL_BYTES else Outcome.WARN
    return CheckResult(
        id="space",
        title="disk space",
        outcome=outcome,
        detail=f"{format_size(facts.free_bytes)} free",
        fix="" if outcome is Outcome.PASS else f"free some: {format_size(FREE_WARN_BYTES)} is a comfortable start",
    )


def _judge_directories(facts: Facts) -> CheckResult:
    """Existing directories must be ours and private; missing ones are made with the right mode when needed."""
    for directory in facts.directories:
        if directory.uid is None or directory.mode is None:
            continue
        path = printable(directory.path, limit=200)
        if directory.uid != facts.uid:
            fix = plan_commands(("chown", "-R", str(facts.uid), directory.path), root=facts.uid == 0)
            return _wrong_directory(f"{path} belongs to user {directory.uid}", fix)
        if directory.mode & 0o077:
            fix = plan_commands(("chmod", "0700", directory.path), root=True)
            return _wrong_directory(f"{path} is open to others (mode {directory.mode:04o})", fix)
    return CheckResult(id="directories", title="own directories", outcome=Outcome.PASS, detail="private")


def _wrong_directory(detail: str, fix: Fix) -> CheckResult:
    return _result("directories", "own directories", Outcome.FAIL, detail, fix)
