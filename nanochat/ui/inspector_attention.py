"""Where a token looked: all heads small, one head large, and the map of that head. Values in, HTML and SVG out.

Weights are drawn in five shades, and all cells of a shade are strokes of one path: a map of two thousand cells takes a
few kilobytes, and so many heads as a large model has stay within what a click may bring.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby, pairwise

from nanochat.ui.inspector_tokens import code, marked, percent, table_html
from nanochat.ui.shapes import svg, words

WIDTH = 340.0
# So many cells fit into a strip of the narrowest column; more tokens share cells, which show the largest of them.
MOST_CELLS = 48
SHOWN_TARGETS = 8
# Names of so many tokens can be read beside their rows.
MOST_NAMED_ROWS = 32
_SHADES = 5


def strips_html(weights: Sequence[Sequence[Sequence[float]]], selected: tuple[int, int]) -> str:
    """Return a strip for each layer and head, oldest token left, darkest where most was looked at; each a button."""
    rows = []
    for layer, heads in enumerate(weights):
        strips = "".join(_strip(row, layer, head, (layer, head) == selected) for head, row in enumerate(heads))
        rows.append(f'<div class="strips"><span class="strip-layer">{layer + 1}</span>{strips}</div>')
    return (
        '<p class="inside-note">Each small map is a head, each row of them a layer: the oldest token left, the newest '
        "right, dark where the head looked. Click one to see it large.</p>"
        '<div class="attention-map" role="toolbar" aria-label="Layers and heads">' + "".join(rows) + "</div>"
    )


def head_html(weights: Sequence[float], names: Sequence[str], layer: int, head: int) -> str:
    """Return one head large: the tokens it looked at most, and its share on the first one."""
    best = sorted(range(len(weights)), key=lambda place: -weights[place])[:SHOWN_TARGETS]
    rows = "".join(
        f'<tr><td>{place}</td><th scope="row">{code(names[place])}</th>'
        f'<td><span class="bar" style="width:{100 * weights[place]:.1f}%"></span>{percent(weights[place])}</td></tr>'
        for place in best
    )
    return (
        f"<h3>Layer {layer + 1}, head {head + 1}</h3>"
        f'<p class="inside-note">{percent(weights[0])} of its attention rests on {code(names[0])}, where a head looks '
        "that has nothing to look for.</p>" + table_html("Attention of one head", ["Place", "Token", "Attention"], rows)
    )


def pattern_html(pattern: Sequence[Sequence[float]], names: Sequence[str]) -> str:
    """Return the map of one head: a row for each token that looks, a column for each that is looked at.

    `pattern` has the rows of the newest tokens only; so many columns are drawn too, and what is older is left out.
    """
    count, older = len(pattern), len(names) - len(pattern)
    side = 220.0 if count <= MOST_NAMED_ROWS else 320.0
    cell, left = side / count, WIDTH - side - 4
    shaded = {(row, column): _shade(pattern[row][older + column]) for row in range(count) for column in range(row + 1)}
    elements = [
        f'<g transform="translate({left:.1f} 4) scale({cell:.3f})"><path class="triangle" d="{_staircase(count)}"/>'
        f'<g transform="translate(0 .5)">{_strokes(shaded)}</g></g>'
    ]
    if count <= MOST_NAMED_ROWS:
        elements += [
            words(left - 4, 4 + cell * (row + 0.5), _short(names[older + row]), "tiny", "end") for row in range(count)
        ]
    picture = svg(WIDTH, side + 8, "Who looked at whom", "Rows look at columns; nobody looks ahead.", elements)
    said = f"the newest {count} tokens" if older else f"all {count} tokens"
    return (
        f'<p class="inside-note">The same head for {said}: each row is a token and shows where it looked, the columns '
        f"being the same tokens in the same order. Nobody looks ahead, so one half stays empty.</p>{picture}"
    )


def _strip(weights: Sequence[float], layer: int, head: int, selected: bool) -> str:
    cells = _cells(weights)
    shaded = {(0, column): _shade(cell) for column, cell in enumerate(cells)}
    return (
        f'<button class="strip" data-layer="{layer}" data-head="{head}" tabindex="{0 if selected else -1}" '
        f'title="Layer {layer + 1}, head {head + 1}: {percent(weights[0])} on the first token" '
        f'aria-pressed="{"true" if selected else "false"}"><svg viewBox="0 -.5 {len(cells)} 1" '
        f'preserveAspectRatio="none" aria-hidden="true">{_strokes(shaded)}</svg></button>'
    )


def _cells(weights: Sequence[float]) -> list[float]:
    count = min(MOST_CELLS, len(weights))
    edges = [len(weights) * cell // count for cell in range(count + 1)]
    return [max(weights[first:end]) for first, end in pairwise(edges)]


def _shade(weight: float) -> int:
    """Return 0 for next to nothing up to 4; in steps of the root, since most shares are small."""
    return min(_SHADES - 1, int(math.sqrt(max(0.0, weight)) * _SHADES))


def _strokes(shaded: dict[tuple[int, int], int]) -> str:
    """Return a path for each shade: a stroke for each run of such cells, through their middle and as wide as they."""
    drawn: dict[int, list[str]] = {}
    for (row, shade), run in groupby(sorted(shaded), key=lambda place: (place[0], shaded[place])):
        columns = [column for _, column in run]
        if shade:
            drawn.setdefault(shade, []).append(f"M{columns[0]} {row}h{len(columns)}")
    return "".join(f'<path class="heat-{shade}" d="{"".join(runs)}"/>' for shade, runs in sorted(drawn.items()))


def _staircase(count: int) -> str:
    """Return the outline of all cells that can be looked at."""
    return "M0 0" + "h1v1" * count + "H0z"


def _short(name: str) -> str:
    text = marked(name)
    return text if len(text) <= 14 else f"{text[:13]}…"
