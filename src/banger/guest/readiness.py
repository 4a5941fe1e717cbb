"""When a guest is ready: a list of named checks, and how the guest's answers decide each of them. Pure.

What the host can see: the VMM was started, the agent's first word came, what the agent says of itself, and whether
something takes a connection. The kernel and the disks are seen through the agent's first word alone, because there is
nobody else in the guest to ask: it tells when its part began and how far it came.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal

from banger.guest.channel import Hello

Wait = Literal["agent", "ssh"]

SSH_PORT: Final = 22
READY_PHASE: Final = "running"
_AGENT_MARK: Final = "banger-agent:"
_LOADING_PHASE: Final = "modules"


class Outcome(StrEnum):
    """How a check ended: `starting` may still pass, `skipped` does not apply or was not waited for."""

    PASS = "pass"  # noqa: S105  an outcome, not a password
    FAIL = "fail"
    STARTING = "starting"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One condition of readiness: what it means, how long it may take, and what to do if it is missing."""

    name: str
    meaning: str
    deadline_s: float
    hint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckOutcome:
    """The outcome of a check. `elapsed_s` is None if unknown; `hint` is empty if all is well."""

    name: str
    outcome: Outcome
    elapsed_s: float | None = None
    hint: str = ""


# A loaded host under software emulation needs the time; a working guest needs two seconds for the first three together.
KERNEL: Final = Check(
    name="kernel",
    meaning="the guest's kernel runs and has begun the agent",
    deadline_s=110.0,
    hint="`banger doctor` says whether guests run on this computer",
)
AGENT: Final = Check(
    name="agent",
    meaning="the agent answers on the channel",
    deadline_s=10.0,
    hint="the guest runs and does not talk: `banger vm stop` and `banger vm start` give it this banger's agent",
)
DISKS: Final = Check(
    name="disks",
    meaning="image and data disk are mounted as the guest's root",
    deadline_s=30.0,
    hint="the console says which disk could not be mounted and why",
)
NETWORK: Final = Check(
    name="network",
    meaning="an interface is up and has an address (--nat)",
    deadline_s=15.0,
    hint="the image may set up its network in its own way: look at `ip address` in the guest",
)
SSH: Final = Check(
    name="ssh",
    meaning="something in the guest takes connections on port 22",
    deadline_s=90.0,
    hint="it may not have started yet, or the image has no ssh server; `banger vm exec` needs none",
)
_COMES_LATER: Final = (NETWORK, SSH)
CHECKS: Final = (KERNEL, AGENT, DISKS, NETWORK, SSH)
FIRST_WORD_DEADLINE_S: Final = KERNEL.deadline_s + AGENT.deadline_s


def divide_first_word(waited_s: float, hello: Hello) -> dict[str, float]:
    """How the time from the VMM's start to the agent's first word divides into kernel, disks and agent, in seconds.

    Counted back from the first word, because the kernel's own clock begins when it is already loaded and unpacked. The
    guest's word is believed as far as it fits into what the host measured. An agent that does not say when it began
    leaves all of it undivided: then only `agent` is known.
    """
    began_s, ended_s, said_s = hello.init_began_s, hello.init_ended_s, hello.said_s
    if began_s is None or ended_s is None or said_s is None:
        return {AGENT.name: waited_s}
    agent_s = min(max(said_s - ended_s, 0.0), waited_s)
    disks_s = min(max(ended_s - began_s, 0.0), waited_s - agent_s)
    return {KERNEL.name: waited_s - agent_s - disks_s, DISKS.name: disks_s, AGENT.name: agent_s}


def outcomes_of_start(timings_s: Mapping[str, float]) -> tuple[CheckOutcome, ...]:
    """The checks of a start that went well, by how long each took: the first three always pass, or it had not.

    Nothing for a VM that was never started.
    """
    if not timings_s:
        return ()
    always = (KERNEL, AGENT, DISKS)
    return tuple(
        CheckOutcome(
            name=check.name,
            outcome=Outcome.PASS if check in always or check.name in timings_s else Outcome.SKIPPED,
            elapsed_s=timings_s.get(check.name),
        )
        for check in CHECKS
    )


def judge(check: Check, *, good: bool, elapsed_s: float, uptime_s: float) -> CheckOutcome:
    """A check of a running guest whose kernel has run for `uptime_s`: for what it needs after its boot it has until the
    check's deadline.
    """
    if good:
        return CheckOutcome(name=check.name, outcome=Outcome.PASS, elapsed_s=elapsed_s)
    if check in _COMES_LATER and uptime_s < check.deadline_s:
        hint = f"the guest has run for {uptime_s:.0f} s, and may need {check.deadline_s:.0f} s until it has this"
        return CheckOutcome(name=check.name, outcome=Outcome.STARTING, elapsed_s=elapsed_s, hint=hint)
    return CheckOutcome(name=check.name, outcome=Outcome.FAIL, elapsed_s=elapsed_s, hint=check.hint)


def find_failed_check(console: str, *, phase: str | None) -> Check:
    """Which check failed in a guest that did not become ready.

    `phase` is what the agent said in its first word, None when it never spoke. Then the console tells whether the
    agent had begun: it prints a line for everything that goes wrong.
    """
    if phase is not None:
        return KERNEL if phase == _LOADING_PHASE else DISKS
    if _AGENT_MARK not in console:
        return KERNEL
    return AGENT
