"""`python -m tests.reliability PROOF [--count N] [--seed S] [--no-page]`: run one proof and write its row."""

from __future__ import annotations

import argparse
import importlib
import random
import time

from tests.reliability.page import write_row

MODULES = {
    "soak": "soak",
    "model": "states",
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.reliability")
    parser.add_argument("proof", choices=MODULES)
    parser.add_argument("--count", type=int, help="how often, instead of what the proof calls for")
    parser.add_argument("--seed", type=int, help="of the random choices")
    parser.add_argument("--no-page", action="store_true", help="leave docs/reliability.md as it is")
    options = parser.parse_args()
    proof = importlib.import_module(f"tests.reliability.{MODULES[options.proof]}")
    seed = random.SystemRandom().getrandbits(32) if options.seed is None else options.seed
    count = options.count or proof.COUNT
    print(f"{options.proof}: {count} times, seed {seed}", flush=True)
    began_s = time.monotonic()
    row = proof.prove(count, seed)
    print(f"{row}\nin {time.monotonic() - began_s:.0f} s", flush=True)
    if not options.no_page:
        write_row(row)


if __name__ == "__main__":
    main()
