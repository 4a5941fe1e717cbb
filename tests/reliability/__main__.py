"""`python -m tests.reliability PROOF [--count N] [--seed S] [--no-page]`: run one proof and write its row."""

from __future__ import annotations

import argparse
import importlib
import random
import time
from dataclasses import dataclass

from tests.reliability.page import write_row


@dataclass(frozen=True)
class Proof:
    """A module of this package, its function, and how often it is called for where the module does not say."""

    module: str
    function: str = "prove"
    count: int | None = None


PROVEN = {
    "sweep": Proof("suites", "prove_sweep"),
    "sweep-vm": Proof("suites", "prove_sweep_vm"),
    "faults": Proof("suites", "prove_faults"),
    "databases": Proof("suites", "prove_databases"),
    "soak": Proof("soak"),
    "cycles": Proof("cycles"),
    "cycles-vm": Proof("cycles", "prove_vm", 100),
    "model": Proof("states"),
    "many-vms": Proof("many"),
    "adopt-vm": Proof("adopt"),
    "stops-vm": Proof("stops"),
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.reliability")
    parser.add_argument("proof", choices=PROVEN)
    parser.add_argument("--count", type=int, help="how often, instead of what the proof calls for")
    parser.add_argument("--seed", type=int, help="of the random choices")
    parser.add_argument("--no-page", action="store_true", help="leave docs/reliability.md as it is")
    options = parser.parse_args()
    proof = PROVEN[options.proof]
    module = importlib.import_module(f"tests.reliability.{proof.module}")
    seed = random.SystemRandom().getrandbits(32) if options.seed is None else options.seed
    count = options.count or proof.count or module.COUNT
    print(f"{options.proof}: {count} times, seed {seed}", flush=True)
    began_s = time.monotonic()
    row = getattr(module, proof.function)(count, seed)
    print(f"{row}\nin {time.monotonic() - began_s:.0f} s", flush=True)
    if not row.whole:
        print("ended early: docs/reliability.md stays as it is")
    elif not options.no_page:
        write_row(row)


if __name__ == "__main__":
    main()
