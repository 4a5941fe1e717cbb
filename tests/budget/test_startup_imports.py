"""What the command line imports before it does anything: counted, since a shared machine cannot be timed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests.fakes.daemon import Exchange, FakeDaemon, view_vm

SOURCE = Path(__file__).parents[2] / "src"
PROGRAM = """
import sys
before = set(sys.modules)
from banger.cli.main import main
status = main(sys.argv[1:])
sys.stdout.flush()
sys.stderr.write("MODULES\\n" + "\\n".join(sorted(set(sys.modules) - before)))
sys.exit(status)
"""
# Each of these costs a millisecond or more, and none is needed to ask the daemon one question.
DEAR = {
    "asyncio",
    "dataclasses",
    "http",
    "inspect",
    "logging",
    "pathlib",
    "shutil",
    "ssl",
    "subprocess",
    "tempfile",
    "email",
}


def imported(*words: str, home: Path, status: int = 0) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *words],
        env={"PYTHONPATH": str(SOURCE), "BANGER_HOME": str(home), "LANG": "C.UTF-8"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == status, done.stderr
    return set(done.stderr.decode().partition("MODULES\n")[2].split("\n"))


def outside_standard_library(modules: set[str]) -> set[str]:
    roots = {module.partition(".")[0] for module in modules}
    return {root for root in roots if root not in sys.stdlib_module_names and root != "banger"}


@pytest.mark.parametrize("words", [("--help",), ("--version",), ("vm",), ("vm", "workspace"), ("help", "image")])
def test_pages_import_next_to_nothing(tmp_path: Path, words: tuple[str, ...]) -> None:
    modules = imported(*words, home=tmp_path)
    assert outside_standard_library(modules) == set()
    assert {module for module in modules if not module.startswith("banger")} <= {"__future__", "gc"}
    assert modules - {"__future__", "gc"} <= {
        "banger",
        "banger.cli",
        "banger.cli.main",
        "banger.cli.table",
        "banger.cli.help",
    }


@pytest.mark.parametrize(
    "words", [("vm", "list", "--json"), ("vm", "show", "box", "--json"), ("vm", "exec", "box", "x")]
)
def test_fast_commands_import_little(tmp_path: Path, words: tuple[str, ...]) -> None:
    with FakeDaemon(tmp_path / "run" / "daemon.sock") as daemon:
        daemon.answers("GET", "/v1/vms", {"vms": [view_vm()]})
        shown = {"ref": "box", "name": "box", "error": None, "vm": view_vm()}
        daemon.answers("POST", "/v1/vms/show", {"outcomes": [shown]})

        def run(exchange: Exchange) -> None:
            exchange.result(0)

        daemon.streams("/v1/vms/box/exec", run)
        modules = imported(*words, home=tmp_path)
    assert outside_standard_library(modules) == set()
    assert modules & DEAR == set()
    assert "banger.api.messages" not in modules


def test_completion_imports_little_and_starts_nothing(tmp_path: Path) -> None:
    """It has a tenth of a second, of which half is Python's own."""
    modules = imported("internal-complete", "bash", "--", "banger vm exec ", "=:", home=tmp_path / "home")
    assert outside_standard_library(modules) == set()
    assert modules & DEAR == set()
    assert "banger.cli.daemon" not in modules
    assert not (tmp_path / "home").exists()


def test_a_refusal_imports_nothing_outside_the_standard_library(tmp_path: Path) -> None:
    modules = imported("vm", "rnu", home=tmp_path, status=2)
    assert outside_standard_library(modules) == set()
    assert "asyncio" not in modules
