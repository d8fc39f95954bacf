"""The table: what was measured, beside what, and whether the goal is met. One list of rows, as text and as JSON.

A ratio says how many times better our side is, whichever way better lies: more tokens a second, or fewer seconds. It is
the median of the rounds' own ratios, so it need not be the quotient of the two medians that stand beside it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any, Literal

from nanochat.bench.pairs import median_ratio

HEADINGS = ("model", "figure", "ours", "beside", "theirs", "ratio", "goal", "")


@dataclass(frozen=True, slots=True)
class Goal:
    """The least ratio, or the most of the value itself, that was set out to be reached."""

    of: Literal["ratio", "value"]
    limit: float


@dataclass(frozen=True, slots=True)
class Row:
    """One figure: ours, the rival's, and how many times better ours is; without a rival only ours."""

    model: str
    figure: str
    unit: str
    ours: float
    beside: str | None
    theirs: float | None
    ratio: float | None
    rounds: int
    goal: Goal | None = None

    @property
    def met(self) -> bool | None:
        """Whether the goal is reached; None where there is none."""
        if self.goal is None:
            return None
        if self.goal.of == "value":
            return self.ours <= self.goal.limit
        return self.ratio is not None and self.ratio >= self.goal.limit


def compared(
    names: tuple[str, str, str],
    ours: Sequence[float],
    beside: str,
    theirs: Sequence[float],
    *,
    least_ratio: float | None = None,
    less_is_better: bool = False,
) -> Row:
    """Return the row of a figure measured on both sides, pair by pair; `names` are model, figure and unit."""
    ratio = median_ratio(theirs, ours) if less_is_better else median_ratio(ours, theirs)
    goal = None if least_ratio is None else Goal("ratio", least_ratio)
    return Row(*names, median(ours), beside, median(theirs), ratio, len(ours), goal)


def alone(names: tuple[str, str, str], ours: Sequence[float], *, most: float | None = None) -> Row:
    """Return the row of a figure that has no rival."""
    goal = None if most is None else Goal("value", most)
    return Row(*names, median(ours), None, None, None, len(ours), goal)


def as_text(rows: Iterable[Row]) -> str:
    """Draw the table in columns."""
    lines = [HEADINGS, *(cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADINGS))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def as_json(rows: Iterable[Row], facts: dict[str, Any]) -> str:
    """Return the rows as JSON, below what is known of the machine and the libraries."""
    return json.dumps({**facts, "rows": [asdict(row) | {"met": row.met} for row in rows]}, indent=1)


def cells(row: Row) -> tuple[str, ...]:
    """Return the row as it is drawn, one text for each heading."""
    return (
        row.model,
        row.figure,
        amount(row.ours, row.unit),
        row.beside or "",
        "" if row.theirs is None else amount(row.theirs, row.unit),
        "" if row.ratio is None else f"{row.ratio:.2f}x",
        _goal(row),
        {None: "", True: "met", False: "MISSED"}[row.met],
    )


def amount(value: float, unit: str) -> str:
    """Write a measured value with three digits that count; seconds below one as milliseconds."""
    if unit == "s" and value < 1:
        value, unit = value * 1000, "ms"
    digits = 0 if value >= 100 else 1 if value >= 10 else 2
    return f"{value:,.{digits}f} {unit}"


def _goal(row: Row) -> str:
    if row.goal is None:
        return ""
    return f"≥ {row.goal.limit:g}x" if row.goal.of == "ratio" else f"≤ {amount(row.goal.limit, row.unit)}"
