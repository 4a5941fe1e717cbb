"""Asking before something is done that cannot be undone."""

from __future__ import annotations

import os
import sys

from banger.core.errors import Invalid


def check_somebody_answers(*, hint: str) -> None:
    """Raise `Invalid` if nobody can answer; the hint says how to do without the question."""
    if not os.isatty(0):
        raise Invalid("standard input is not a terminal, so nobody can be asked", hint=hint)


def ask(question: str) -> bool:
    """Whether the answer is yes. Anything else, an empty line too, is no."""
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")
