"""SVG in small strokes: numbers and words in, elements out. Colours come from style.css, by class."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape


def svg(width: float, height: float, title: str, description: str, elements: Iterable[str]) -> str:
    """Return a picture that scales with its column and tells a screen reader what it shows."""
    view = f"0 0 {_number(width)} {_number(height)}"
    return (
        f'<svg class="drawing" viewBox="{view}" role="img" aria-label="{escape(title)}">'
        f"<title>{escape(title)}</title><desc>{escape(description)}</desc>{''.join(elements)}</svg>"
    )


def box(x: float, y: float, width: float, height: float, style: str, radius: float = 6) -> str:
    return (
        f'<rect class="{style}" x="{_number(x)}" y="{_number(y)}" width="{_number(width)}" height="{_number(height)}" '
        f'rx="{_number(radius)}"/>'
    )


def words(x: float, y: float, text: str, style: str = "words", anchor: str = "start") -> str:
    return (
        f'<text class="{style}" x="{_number(x)}" y="{_number(y)}" text-anchor="{anchor}" '
        f'dominant-baseline="central">{escape(text)}</text>'
    )


def line(points: Iterable[tuple[float, float]], style: str = "line") -> str:
    return f'<polyline class="{style}" points="{_points(points)}"/>'


def area(points: Iterable[tuple[float, float]], style: str) -> str:
    return f'<polygon class="{style}" points="{_points(points)}"/>'


def arrow(points: list[tuple[float, float]], style: str = "line") -> str:
    """Return a line whose last stretch, along an axis, ends in a head."""
    (x0, y0), (x, y) = points[-2], points[-1]
    along = ((x > x0) - (x < x0), (y > y0) - (y < y0))
    back = (x - 5 * along[0], y - 5 * along[1])
    wing = (3 * along[1], 3 * along[0])
    head = [(x, y), (back[0] + wing[0], back[1] + wing[1]), (back[0] - wing[0], back[1] - wing[1])]
    return line([*points[:-1], back], style) + area(head, f"{style} head")


def plus(x: float, y: float) -> str:
    """Return the sign where a branch is added to the stream."""
    return (
        f'<circle class="plus" cx="{_number(x)}" cy="{_number(y)}" r="7"/>'
        + line([(x - 3.5, y), (x + 3.5, y)], "sign")
        + line([(x, y - 3.5), (x, y + 3.5)], "sign")
    )


def vector(x: float, y: float, width: float, style: str = "vector", count: int = 12) -> str:
    """Return a row of numbers: a box with a mark between neighbours."""
    marks = "".join(line([(x + width * cell / count, y), (x + width * cell / count, y + 12)], "mark")
                    for cell in range(1, count))  # fmt: skip
    return box(x, y, width, 12, style, 2) + marks


def bars(x: float, base: float, heights: Iterable[float], style: str, pitch: float = 14) -> str:
    """Return a bar for each height, above the base line or, where it is negative, below it."""
    return "".join(
        box(x + pitch * place, base - max(0.0, height), pitch * 0.72, max(0.8, abs(height)), style, 1)
        for place, height in enumerate(heights)
    )


def _points(points: Iterable[tuple[float, float]]) -> str:
    return " ".join(f"{_number(x)},{_number(y)}" for x, y in points)


def _number(value: float) -> str:
    return f"{value:.1f}".rstrip("0").rstrip(".")
