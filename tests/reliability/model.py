"""What banger says about its VMs, as a function on values: which answer a request gets, and what is so afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

OK: Final = "ok"
Verb = Literal[
    "create", "run", "start", "stop", "restart", "kill", "pause", "resume", "exec", "set", "rename", "delete"
]
State = Literal["stopped", "running", "paused"]


@dataclass(frozen=True)
class Vm:
    """One VM as clients see it."""

    state: State
    vcpu: int = 1


World = Mapping[str, Vm]


@dataclass(frozen=True)
class Request:
    """`name`: of the VM. `vcpu` is for `set`, `new_name` for `rename`, `start` for `create`."""

    verb: Verb
    name: str
    start: bool = False
    vcpu: int = 1
    new_name: str = ""

    def __str__(self) -> str:
        more = {"create": f" start={self.start}", "set": f" vcpu={self.vcpu}", "rename": f" to {self.new_name}"}
        return f"{self.verb} {self.name}{more.get(self.verb, '')}"


# What a verb makes of each state; a state that is not there refuses it with wrong_state.
MOVES: Final[Mapping[str, Mapping[State, State]]] = MappingProxyType(
    {
        "start": {"stopped": "running", "running": "running"},
        "stop": {"stopped": "stopped", "running": "stopped", "paused": "stopped"},
        "restart": {"stopped": "running", "running": "running", "paused": "running"},
        "kill": {"stopped": "stopped", "running": "stopped", "paused": "stopped"},
        "pause": {"running": "paused", "paused": "paused"},
        "resume": {"paused": "running", "running": "running"},
        "exec": {"running": "running"},
    }
)


def answer(world: World, request: Request) -> tuple[str, World]:
    """`ok` or the kind of the error that `request` gets in `world`, and the world after it."""
    vm = world.get(request.name)
    if request.verb in ("create", "run"):
        running = request.verb == "run" or request.start
        return _put(world, request.name, Vm("running" if running else "stopped"))
    if vm is None:
        return "not_found", world
    rest = {name: other for name, other in world.items() if name != request.name}
    if request.verb == "delete":
        return OK, rest
    if request.verb == "rename":
        kind, after = _put(rest, request.new_name, vm)
        return kind, after if kind == OK else world
    if request.verb == "set":
        return OK, {**rest, request.name: Vm(vm.state, request.vcpu)}
    state = MOVES[request.verb].get(vm.state)
    return ("wrong_state", world) if state is None else (OK, {**rest, request.name: Vm(state, vm.vcpu)})


def _put(world: World, name: str, vm: Vm) -> tuple[str, World]:
    return ("already_exists", world) if name in world else (OK, {**world, name: vm})


def possible_without_answer(world: World, request: Request) -> list[World]:
    """What may be so after a request whose answer nobody got: it happened, it did not, or it stopped half-way."""
    _, after = answer(world, request)
    worlds = [world, after]
    if (request.verb in ("create", "restart") and after != world) or request.verb == "restart":
        vm = after.get(request.name)
        if vm is not None:
            worlds.append({**after, request.name: Vm("stopped", vm.vcpu)})
    return worlds
