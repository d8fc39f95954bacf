"""The loss curve as a picture: values in, SVG out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

WIDTH, HEIGHT, MARGIN = 720, 320, 44
SMOOTHING = 0.6  # share of the past in each smoothed value; the log holds means of several steps already
TICKS = 5
COLOURS = ("#3b6fb6", "#b6613b", "#5a8f3c", "#8a5ab6")


@dataclass(frozen=True, slots=True)
class Series:
    """One line: a name and its points (tokens read, loss in nats a token), in the order of training."""

    name: str
    points: Sequence[tuple[float, float]]


def loss_curve(series: Sequence[Series]) -> str:
    """Draw each stage's smoothed loss after the tokens read so far, stages one behind the other.

    Raises ValueError when there is no point at all.
    """
    lines = _one_behind_the_other([line for line in series if line.points])
    if not lines:
        raise ValueError("There is no loss to draw yet.")
    values = [loss for line in lines for _, loss in line.points]
    low, high = min(values), max(values)
    longest = lines[-1].points[-1][0]

    def place(tokens: float, loss: float) -> tuple[float, float]:
        across = tokens / longest if longest else 0.0
        up = (loss - low) / (high - low) if high > low else 0.5
        return MARGIN + across * (WIDTH - 2 * MARGIN), HEIGHT - MARGIN - up * (HEIGHT - 2 * MARGIN)

    parts = [_grid(place, low, high, longest)]
    for line, colour in zip(lines, COLOURS, strict=False):
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*point) for point in line.points))
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.6"/>')
        x, _ = place(*line.points[0])
        parts.append(f'<text x="{x + 6:.1f}" y="{MARGIN - 12}" fill="{colour}">{line.name}</text>')
    body = "\n".join(parts)
    style = 'font-family="sans-serif" font-size="12"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" {style}>\n{body}\n</svg>\n'


def _one_behind_the_other(series: Sequence[Series]) -> list[Series]:
    shifted, start = [], 0.0
    for line in series:
        points, mean = [], line.points[0][1]
        for tokens, loss in line.points:
            mean = SMOOTHING * mean + (1 - SMOOTHING) * loss
            points.append((start + tokens, mean))
        shifted.append(Series(line.name, points))
        start = points[-1][0]
    return shifted


def _grid(place: Callable[[float, float], tuple[float, float]], low: float, high: float, longest: float) -> str:
    parts = ['<rect width="100%" height="100%" fill="white"/>']
    for tick in range(TICKS):
        share = tick / (TICKS - 1)
        loss, tokens = low + share * (high - low), share * longest
        x, y = place(tokens, loss)
        parts.append(f'<path d="M{MARGIN} {y:.1f}H{WIDTH - MARGIN}" stroke="#ddd"/>')
        parts.append(f'<text x="{MARGIN - 6}" y="{y + 4:.1f}" text-anchor="end" fill="#555">{loss:.2f}</text>')
        parts.append(
            f'<text x="{x:.1f}" y="{HEIGHT - MARGIN + 18}" text-anchor="middle" fill="#555">{tokens / 1e6:.1f} M</text>'
        )
    parts.append(f'<text x="{WIDTH / 2}" y="{HEIGHT - 6}" text-anchor="middle" fill="#555">tokens read</text>')
    return "\n".join(parts)
