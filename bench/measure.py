"""Taking turns: each figure and its floor are measured alternately in one run, and compared by their medians."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

TURNS = int(os.environ.get("BENCH_TURNS", "5"))


@dataclass(frozen=True)
class Figure:
    """One row. `values` and `floors` in `unit`; `reach` is the ratio that the project wants to stay below."""

    name: str
    floor: str
    unit: str
    values: list[float]
    floors: list[float]
    reach: float

    @property
    def ratio(self) -> float:
        return statistics.median(self.values) / statistics.median(self.floors)


def alternate(
    name: str, floor: str, *, value: Callable[[], float], base: Callable[[], float], reach: float, turns: int, unit: str
) -> Figure:
    """Measure `value` and `base` in turns, after one turn of each that does not count."""
    value()
    base()
    values, floors = [], []
    for _ in range(turns):
        values.append(value())
        floors.append(base())
    return Figure(name, floor, unit, values, floors, reach)


def timed(work: Callable[[], object]) -> float:
    """Seconds that `work` takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def row(figure: Figure) -> str:
    """A line of the table."""
    value, floor = statistics.median(figure.values), statistics.median(figure.floors)
    scale, unit = (1000, "ms") if figure.unit == "s" and value < 1 else (1, figure.unit)
    met = "yes" if figure.ratio <= figure.reach else "**no**"
    return (
        f"| {figure.name} | {value * scale:.1f} {unit} | {floor * scale:.1f} {unit} | {figure.floor} |"
        f" {figure.ratio:.2f} | {figure.reach:g} | {met} |"
    )
