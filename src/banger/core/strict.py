"""From JSON to frozen dataclasses, every value checked: what banger wrote may have been damaged since."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import MISSING, fields
from types import UnionType
from typing import Any, TypeVar, get_args, get_type_hints

Value = TypeVar("Value")


def parse_object(text: str | bytes) -> Mapping[str, Any]:
    """Parse a JSON object. Raises `ValueError` for anything else, also for one that is nested too deep."""
    try:
        value = json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deep") from error
    if not isinstance(value, dict):
        raise ValueError(f"not an object but {type(value).__name__}")
    return value


def read_dataclass(kind: type[Value], value: object) -> Value:
    """Make a `kind` of a JSON object whose members are exactly its fields; those with defaults may be missing.

    Fields are `str`, `int`, `float` (also written as an integer), `bool`, or one of them or None, or a mapping from
    `str` to `str`. Raises `ValueError`.
    """
    if not isinstance(value, dict):
        raise ValueError(f"not an object but {type(value).__name__}")
    hints = get_type_hints(kind)
    known = {field.name: field for field in fields(kind)}  # type: ignore[arg-type]  # every dataclass is accepted here
    if unknown := sorted(value.keys() - known.keys()):
        raise ValueError(f"unknown member {ascii(unknown[0])}")
    given: dict[str, object] = {}
    for name, field in known.items():
        if name in value:
            given[name] = _read_value(name, hints[name], value[name])
        elif field.default is MISSING and field.default_factory is MISSING:
            raise ValueError(f"{name} is missing")
    return kind(**given)


def _read_value(name: str, hint: object, value: object) -> object:
    if hint == Mapping[str, str]:
        if not isinstance(value, dict) or not all(isinstance(text, str) for pair in value.items() for text in pair):
            raise ValueError(f"{name} is not an object of strings")
        return value
    accepted = get_args(hint) if isinstance(hint, UnionType) else (hint,)
    if type(value) is int and int not in accepted and float in accepted:
        value = _to_float(name, value)
    if type(value) not in (type(None) if kind is None else kind for kind in accepted):
        raise ValueError(f"{name} is {type(value).__name__}")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{name} is not finite")
    return value


def _to_float(name: str, value: int) -> float:
    try:
        return float(value)
    except OverflowError as error:
        raise ValueError(f"{name} is too large") from error
