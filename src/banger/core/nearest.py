"""Suggestions for a name that does not exist."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def hint_nearest(word: str, known: Iterable[str], *, otherwise: str) -> str:
    """A hint with the known name most like `word`, or `otherwise` when none is close."""
    near = difflib.get_close_matches(word[:100], sorted(known), n=1)
    return f"did you mean `{near[0]}`?" if near else otherwise
