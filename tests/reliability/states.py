"""`model`: random requests of several clients, one after the other and at once, against the model in model.py."""

from __future__ import annotations

import tempfile
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Final

from hypothesis import HealthCheck, Phase, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test
from tests.component.fake_world import FakeWorld
from tests.reliability.api import Api
from tests.reliability.model import OK, Request, Vm, World, answer
from tests.reliability.page import Row, host
from tests.reliability.soak_client import PASSING, perform

from banger.core.errors import BangerError

COUNT: Final = 2000
STEPS: Final = 8
AT_ONCE: Final = 4
NAMES: Final = ("a", "b")
# What an exec may come to when the VM changes meanwhile: it does not wait for its turn.
DISTURBED: Final = {OK, "wrong_state", "not_found", "unavailable", "failed"}
VERBS: Final[Sequence[Any]] = (
    *("run", "create", "start", "stop", "pause", "resume", "set", "rename", "delete", "exec") * 2,
    *("restart", "kill", "run", "start"),
)

requests: Final[st.SearchStrategy[Request]] = st.builds(
    Request,
    verb=st.sampled_from(VERBS),
    name=st.sampled_from(NAMES),
    start=st.booleans(),
    vcpu=st.integers(1, 8),
    new_name=st.sampled_from(NAMES),
)


def is_quick(batch: Sequence[Request]) -> bool:
    """A command that was begun just before its VM was paused waits for a minute, as it should, and here in vain."""
    return not {"exec", "pause"} <= {request.verb for request in batch}


class Divergence(AssertionError):
    """The daemon and the model do not agree."""


class Lab:
    """The daemon that all runs use one after the other, and how much was asked of it."""

    def __init__(self, world: FakeWorld) -> None:
        self.api = Api(world)
        self.world = world
        self.pool = ThreadPoolExecutor(AT_ONCE)
        self.tally = Counter[str]()

    def ask(self, request: Request) -> str:
        """`ok`, or the kind of the error."""
        try:
            perform(self.api, request)
        except BangerError as error:
            if error.kind == "internal":
                raise Divergence(f"{request}: {error.summary}\n{self.world.log_tail()}") from error
            return error.kind
        return OK

    def ask_at_once(self, batch: Sequence[Request]) -> list[str]:
        """The same from as many clients, which begin together."""
        together = threading.Barrier(len(batch))

        def one(request: Request) -> str:
            together.wait()
            return self.ask(request)

        return list(self.pool.map(one, batch))

    def look(self) -> World:
        vms = self.api.vms()
        passing = [vm for vm in vms if vm["state"] in PASSING]
        if passing:
            raise Divergence(f"nobody asks for anything, and this is listed: {passing}\n{self.world.log_tail()}")
        return {vm["name"]: Vm(vm["state"], vm["vcpu"]) for vm in vms}

    def clear(self) -> None:
        for vm in self.api.vms():
            self.api.act("delete", vm["name"])
        assert self.api.vms() == []


def agrees(world: World, batch: Sequence[Request], answers: Sequence[str], seen: World) -> bool:
    """Is there an order of `batch` in which the model gives these answers and ends with what is seen?

    Names are looked up when a request arrives, so one that waits for its turn meets its VM under another name.
    """

    def search(now: World, left: frozenset[int], moved: Mapping[str, str]) -> bool:
        if not left:
            return now == seen
        return any(step(now, left - {index}, index, name, moved) for index in left for name in names(index, moved))

    def names(index: int, moved: Mapping[str, str]) -> set[str]:
        return {batch[index].name, moved.get(batch[index].name, batch[index].name)}

    def step(now: World, left: frozenset[int], index: int, name: str, moved: Mapping[str, str]) -> bool:
        request = replace(batch[index], name=name)
        expected, after = answer(now, request)
        if answers[index] != expected and not _disturbed(batch, index, answers[index]):
            return False
        if request.verb == "rename" and expected == OK:
            moved = {**moved, batch[index].name: request.new_name, name: request.new_name}
        return search(after, left, moved)

    return search(world, frozenset(range(len(batch))), {})


def _disturbed(batch: Sequence[Request], index: int, got: str) -> bool:
    mine = batch[index]
    others = [request for number, request in enumerate(batch) if number != index]
    touched = any(mine.name in (request.name, request.new_name) and request.verb != "exec" for request in others)
    return mine.verb == "exec" and touched and got in DISTURBED


class Clients(RuleBasedStateMachine):
    """Runs against `lab`, which whoever runs it has put there."""

    lab: ClassVar[Lab]

    def __init__(self) -> None:
        super().__init__()
        self.model: World = {}

    @rule(request=requests)
    def one(self, request: Request) -> None:
        self._check([request], [self.lab.ask(request)])

    @rule(batch=st.lists(requests, min_size=2, max_size=AT_ONCE).filter(is_quick))
    def at_once(self, batch: list[Request]) -> None:
        self.lab.tally["batches"] += 1
        self._check(batch, self.lab.ask_at_once(batch))

    def _check(self, batch: Sequence[Request], answers: Sequence[str]) -> None:
        seen = self.lab.look()
        self.lab.tally["requests"] += len(batch)
        if not agrees(self.model, batch, answers, seen):
            told = ", ".join(f"{request}: {got}" for request, got in zip(batch, answers, strict=True))
            raise Divergence(f"from {self.model} {told} to {seen}\n{self.lab.world.log_tail()}")
        self.model = seen

    def teardown(self) -> None:
        self.lab.tally["runs"] += 1
        self.lab.clear()


@contextmanager
def laboratory(root: Path) -> Iterator[Lab]:
    """A daemon with a fake VMM, and the proof afterwards that nothing is left."""
    world = FakeWorld(root, cache=root / "cache")
    root.mkdir(parents=True)
    world.start_daemon()
    lab = Lab(world)
    Clients.lab = lab
    try:
        yield lab
    finally:
        lab.pool.shutdown()
        world.clear()


def prove(count: int, seed: int) -> Row:
    """Run the machine `count` times. Raises `Divergence`, with what led to it."""
    chosen = settings(
        max_examples=count,
        stateful_step_count=STEPS,
        deadline=None,
        database=None,
        phases=(Phase.generate,),  # what is found is a matter of timing too: a smaller example rarely shows it again
        suppress_health_check=list(HealthCheck),
    )
    with tempfile.TemporaryDirectory(prefix="banger-model-") as directory, laboratory(Path(directory) / "w") as lab:
        run_state_machine_as_test(seeded(seed)(Clients), settings=chosen)
        tally = lab.tally
    return Row(
        "model",
        "a hypothesis state machine: random requests of several clients, alone and up to four at once, against a model",
        f"{tally['runs']} runs; seed {seed}",
        f"{tally['requests']} requests, {tally['batches']} times several at once; **0 divergences**, 0 leaks ({host()})",
    )
