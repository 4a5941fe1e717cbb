"""Small samples of the proofs, for every change; the whole of each is a `make` target."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.reliability import adopt, cycles, page, soak, states
from tests.reliability.model import Request, Vm, World, answer, possible_without_answer
from tests.reliability.page import Row

pytestmark = pytest.mark.timeout(600)


def test_soak() -> None:
    assert "0 lost" in soak.prove(20, seed=3).result


def test_cycles() -> None:
    assert "+0" in cycles.prove(30, seed=0).result


def test_model() -> None:
    assert "0 divergences" in states.prove(25, seed=3).result


def test_adopt() -> None:
    """How long it takes is told, and judged by `make adopt-vm` alone."""
    assert "all adopted" in adopt.prove_fake(20, seed=0).result


RUNNING: World = {"a": Vm("running")}
RENAME = Request("rename", "a", new_name="b")
DELETE = Request("delete", "a")


def test_the_model_says_what_is_documented() -> None:
    assert answer({}, Request("stop", "a")) == ("not_found", {})
    assert answer(RUNNING, Request("run", "a")) == ("already_exists", RUNNING)
    assert answer({"a": Vm("paused")}, Request("start", "a"))[0] == "wrong_state"
    assert answer(RUNNING, RENAME) == ("ok", {"b": Vm("running")})
    assert {"a": Vm("stopped")} in possible_without_answer({}, Request("create", "a", start=True))


def test_requests_at_once_agree_with_the_model_in_some_order_or_not_at_all() -> None:
    assert states.agrees(RUNNING, [DELETE, Request("run", "a")], ["ok", "ok"], RUNNING)
    assert states.agrees(RUNNING, [Request("run", "a"), DELETE], ["already_exists", "ok"], {})
    assert not states.agrees(RUNNING, [DELETE, Request("run", "a")], ["ok", "ok"], {})
    assert not states.agrees({}, [Request("run", "a"), Request("run", "a")], ["ok", "ok"], RUNNING)


def test_a_request_that_waits_meets_its_vm_under_another_name() -> None:
    assert states.agrees(RUNNING, [RENAME, DELETE], ["ok", "ok"], {})
    assert not states.agrees(RUNNING, [RENAME, DELETE], ["ok", "ok"], {"b": Vm("running")})


def test_the_page_keeps_the_other_rows(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    page.write_row(Row("soak", "killing", "2 times", "nothing lost"), path)
    page.write_row(Row("model", "asking", "3 times", "no divergence"), path)
    page.write_row(Row("soak", "killing", "4 times", "nothing lost"), path)
    lines = path.read_text().splitlines()
    assert "| `soak` | killing | 4 times | nothing lost |" in lines
    assert "| `model` | asking | 3 times | no divergence |" in lines
    assert "| `sweep` | not run yet | | |" in lines
    assert sum(line.startswith("| `") for line in lines) == len(page.PROOFS)
