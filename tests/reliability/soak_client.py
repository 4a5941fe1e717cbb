"""One of the clients of the soak: `python -m tests.reliability.soak_client ROOT INDEX SEED`.

It owns its VMs, and knows what must be so from what the daemon acknowledged. All it knows is in its diary, one line
before and one after each request, so that another process goes on where this one was killed.
"""

from __future__ import annotations

import json
import random
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.reliability.api import Api
from tests.reliability.model import OK, Request, Vm, World, answer, possible_without_answer
from tests.reliability.worlds import LooseWorld

from banger.core.errors import BangerError, Unavailable

SLOTS: Final = 2
PASSING: Final = ("creating", "starting", "stopping", "deleting")
SETTLE_DEADLINE_S: Final = 120.0
# How often each verb is used on a VM that is there, whatever its state.
WEIGHTS: Final = {
    "exec": 5,
    "stop": 2,
    "start": 3,
    "restart": 1,
    "kill": 1,
    "pause": 2,
    "resume": 2,
    "set": 2,
    "rename": 2,
    "delete": 2,
    "create": 1,
}


class Diverged(AssertionError):
    """An acknowledged change is not so."""


@dataclass
class Slot:
    """A place for one VM, under one of two names. `runs_since_s`: it was not killed from outside before that."""

    prefix: str
    world: World = field(default_factory=dict)
    runs_since_s: float = 0.0
    sent: Request | None = None

    @property
    def name(self) -> str:
        return next(iter(self.world), f"{self.prefix}a")


class Client:
    """Asks, remembers and compares."""

    def __init__(self, root: Path, index: int, seed: int) -> None:
        self._api: Api = LooseWorld(root).api()
        self._random = random.Random(seed)
        self._stop = root / "soak" / "stop"
        self._kills = root / "soak" / "vmm-kills"
        self._slots = [Slot(f"c{index}-{number}-") for number in range(SLOTS)]
        path = root / "soak" / f"client-{index}"
        if path.exists():
            self._remember(path)
        self._diary = path.open("a", buffering=1)

    def work(self) -> None:
        """Until told to stop."""
        for slot in self._slots:
            if slot.sent is not None:
                worlds = possible_without_answer(slot.world, slot.sent)
                worlds += possible_without_answer(_fallen(slot.world), slot.sent) if self._was_hit(slot) else []
                self._settle(slot, worlds, after_kill=True)
        while not self._stop.exists():
            if self._random.random() < 0.15:
                self._compare()
            else:
                slot = self._random.choice(self._slots)
                self._ask(slot, self._choose(slot))
        self._compare()

    def _remember(self, path: Path) -> None:
        for text in path.read_text().splitlines():
            line = json.loads(text)
            for slot in self._slots:
                if slot.prefix == line["slot"]:
                    slot.world = {name: Vm(**vm) for name, vm in line["world"].items()}
                    slot.runs_since_s = line["runs_since_s"]
                    slot.sent = Request(**line["sent"]) if line["sent"] is not None else None

    def _know(self, slot: Slot, world: World, **more: object) -> None:
        """Nothing is under way, and this is so. What was killed before matters no more for a VM that does not run."""
        slot.world, slot.sent = world, None
        if not any(vm.state != "stopped" for vm in world.values()):
            slot.runs_since_s = time.monotonic()
        self._write(slot, **more)

    def _write(self, slot: Slot, **more: object) -> float:
        now_s = time.monotonic()
        line = {
            "at_s": now_s,
            "slot": slot.prefix,
            "world": {name: asdict(vm) for name, vm in slot.world.items()},
            "runs_since_s": slot.runs_since_s,
            "sent": asdict(slot.sent) if slot.sent is not None else None,
            **more,
        }
        self._diary.write(json.dumps(line) + "\n")
        return now_s

    def _choose(self, slot: Slot) -> Request:
        name = slot.name
        if not slot.world and self._random.random() < 0.85:
            return Request(self._random.choice(("run", "create")), name, start=self._random.random() < 0.5)
        verb: Any = self._random.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
        other = slot.prefix + ("b" if name.endswith("a") else "a")
        return Request(verb, name, vcpu=self._random.randint(1, 8), new_name=other if verb == "rename" else "")

    def _ask(self, slot: Slot, request: Request) -> None:
        expected, after = answer(slot.world, request)
        slot.sent = request
        sent_s = self._write(slot)
        try:
            perform(self._api, request)
        except BangerError as error:
            got, said = error.kind, error.summary
        else:
            got, said = OK, ""
        if got == expected:
            if request.verb == "restart":
                slot.runs_since_s = sent_s
            self._know(slot, after, answer=got)
            return
        worlds = possible_without_answer(slot.world, request)
        lost = got == Unavailable.kind and ("connection to the daemon was lost" in said or "no daemon" in said)
        if not lost and not self._was_hit(slot):
            raise Diverged(f"{request} was answered {got} ({said}), not {expected}; {slot}")
        if self._was_hit(slot):
            worlds += possible_without_answer(_fallen(slot.world), request)
        self._settle(slot, worlds, answer="unanswered" if lost else "vmm killed")

    def _was_hit(self, slot: Slot) -> bool:
        """Was a VMM of this slot killed from outside since its VM was told to run?"""
        if not self._kills.exists():
            return False
        hits = [line.split() for line in self._kills.read_text().splitlines()]
        since_s = slot.runs_since_s
        return any(prefix == slot.prefix and float(at_s) >= since_s for at_s, prefix in hits)

    def _settle(
        self, slot: Slot, worlds: list[World], *, answer: str = "client killed", after_kill: bool = False
    ) -> None:
        """Look what has become of a request without an answer; it must be one of `worlds`."""
        seen = self._look(slot)
        while after_kill and seen != (again := self._look(slot)):
            seen = again
        if seen not in worlds and not (self._was_hit(slot) and any(seen == _fallen(world) for world in worlds)):
            raise Diverged(f"{slot.sent} without an answer ({answer}) left {seen}, not one of {worlds}; {slot}")
        self._know(slot, seen, answer=answer)

    def _compare(self) -> None:
        """What is listed must be what is known."""
        for slot in self._slots:
            seen = self._look(slot)
            if seen == slot.world:
                continue
            if not (self._was_hit(slot) and seen == _fallen(slot.world)):
                raise Diverged(f"{seen} is listed, not {slot.world}; {slot}")
            self._know(slot, seen)

    def _look(self, slot: Slot) -> World:
        """The slot's VM as it is listed, when nothing is under way any more."""
        end_s = time.monotonic() + SETTLE_DEADLINE_S
        while True:
            try:
                vms = [vm for vm in self._api.vms() if vm["name"].startswith(slot.prefix)]
            except Unavailable:
                vms = [{"state": PASSING[0]}]
            if all(vm["state"] not in PASSING for vm in vms):
                return {vm["name"]: Vm(vm["state"], vm["vcpu"]) for vm in vms}
            if time.monotonic() > end_s:
                raise Diverged(f"{vms} does not come to rest; {slot}")
            time.sleep(0.02)


def perform(api: Api, request: Request) -> None:
    """Send one request. Raises what the daemon answers."""
    if request.verb == "create":
        api.create(request.name, start=request.start)
    elif request.verb == "run":
        api.run_detached(request.name)
    elif request.verb == "exec":
        assert api.exec(request.name, "echo", request.name) == (0, f"{request.name}\n".encode())
    elif request.verb == "set":
        api.change(request.name, vcpu=request.vcpu)
    elif request.verb == "rename":
        api.change(request.name, new_name=request.new_name)
    elif request.verb == "kill":
        api.act("kill", request.name, signal="KILL")
    else:
        api.act(request.verb, request.name)


def _fallen(world: World) -> World:
    return {name: Vm("stopped", vm.vcpu) for name, vm in world.items()}


if __name__ == "__main__":
    Client(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])).work()
