"""Where the token looked, and three sums of the model with its own numbers. Values in, HTML and SVG out."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

from nanochat.lens.arithmetic import Match, Norm, Rope, Softcap, Turn
from nanochat.ui.inspector_tokens import code, percent, table_html
from nanochat.ui.shapes import box, line, svg, words

WIDTH = 340.0
# So many cells fit into a strip of the narrowest column; more tokens share cells, which show the largest of them.
MOST_CELLS = 48
SHOWN_TARGETS = 8
_SHADES = 5


def strips_html(weights: Sequence[Sequence[Sequence[float]]], selected: tuple[int, int]) -> str:
    """Return a strip for each layer and head, oldest token left, darkest where most was looked at; each a button."""
    rows = []
    for layer, heads in enumerate(weights):
        strips = "".join(_strip(row, layer, head, (layer, head) == selected) for head, row in enumerate(heads))
        rows.append(f'<div class="strips"><span class="strip-layer">{layer + 1}</span>{strips}</div>')
    return '<div class="attention-map" role="toolbar" aria-label="Layers and heads">' + "".join(rows) + "</div>"


def head_html(weights: Sequence[float], names: Sequence[str], layer: int, head: int) -> str:
    """Return one head large: the tokens it looked at most, and its share on the first one."""
    best = sorted(range(len(weights)), key=lambda place: -weights[place])[:SHOWN_TARGETS]
    rows = "".join(
        f'<tr><td>{place}</td><th scope="row">{code(names[place])}</th>'
        f'<td><span class="bar" style="width:{max(1, round(100 * weights[place]))}%"></span>'
        f"{percent(weights[place])}</td></tr>"
        for place in best
    )
    return (
        f'<p class="inside-note">Layer {layer + 1}, head {head + 1}: {percent(weights[0])} of its attention rests on '
        f"{code(names[0])}.</p>" + table_html("Attention of one head", ["Place", "Token", "Attention"], rows)
    )


def softcap_html(softcap: Softcap, name: Callable[[int], str]) -> str:
    """Return the curve of the softcap with this token's logits on it, and their numbers."""
    rows = "".join(
        f'<tr><th scope="row">{code(name(bent.id))}</th><td>{bent.raw:.3f}</td><td>{bent.capped:.3f}</td></tr>'
        for bent in softcap.shown
    )
    curve = "" if softcap.cap is None else _curve(softcap, softcap.cap)
    said = "The logits are as the head gives them." if softcap.cap is None else (
        f"z = {softcap.cap:g} · tanh(raw / {softcap.cap:g}). Raw logits here run from {softcap.lowest:.1f} to "
        f"{softcap.highest:.1f}."
    )  # fmt: skip
    return f'<p class="inside-note">{said}</p>{curve}' + table_html("Softcap", ["Token", "Raw", "Capped"], rows)


def rope_html(rope: Rope, names: tuple[str, str]) -> str:
    """Return one pair of channels of a query and a key, turned for their two places."""
    marks = [code(name) for name in names]
    return (
        f'<p class="inside-note">Pair {rope.pair} of the query at {marks[0]} (place {rope.query.place}) '
        f"turns by −{rope.query.angle:.2f} rad, of the key at {marks[1]} (place {rope.key.place}) by "
        f"−{rope.key.angle:.2f} rad. The product of query and key is {rope.score:.3f}; with both "
        f"{rope.moved_tokens} tokens later it is {rope.moved_score:.3f}: only the distance counts.</p>" + _dials(rope)
    )


def norm_html(match: Match) -> str:
    """Return QK-norm on one head with its numbers, up to the share of attention that came of them."""
    rows = "".join(
        f'<tr><th scope="row">{label}</th><td>{numbers}</td><td>{size:.3f}</td></tr>'
        for norm, kind in ((match.query, "query"), (match.key, "key"))
        for label, numbers, size in _norm_rows(norm, kind)
    )
    return (
        table_html("QK-norm", ["Vector", "First channels", "RMS"], rows)
        + f'<p class="inside-note">query · key × {match.scaling:.4f} = {match.score:.3f}, which after the softmax is '
        f"{percent(match.weight)} of this head's attention.</p>"
    )


def _strip(weights: Sequence[float], layer: int, head: int, selected: bool) -> str:
    cells = _cells(weights)
    width = 100 / len(cells)
    drawn = "".join(
        f'<rect class="heat-{_shade(cell)}" x="{width * place:.2f}" y="0" width="{width:.2f}" height="12"/>'
        for place, cell in enumerate(cells)
    )
    told = f"Layer {layer + 1}, head {head + 1}: {percent(weights[0])} on the first token"
    return (
        f'<button type="button" class="strip" data-layer="{layer}" data-head="{head}" title="{told}" '
        f'aria-label="{told}" aria-pressed="{"true" if selected else "false"}" tabindex="{0 if selected else -1}">'
        f'<svg viewBox="0 0 100 12" preserveAspectRatio="none" aria-hidden="true">{drawn}</svg></button>'
    )


def _cells(weights: Sequence[float]) -> list[float]:
    count = min(MOST_CELLS, len(weights))
    edges = [len(weights) * cell // count for cell in range(count + 1)]
    return [max(weights[first:end]) for first, end in pairwise(edges)]


def _shade(weight: float) -> int:
    """Return 0 for next to nothing up to 4; in steps of the root, since most shares are small."""
    return min(_SHADES - 1, int(math.sqrt(max(0.0, weight)) * _SHADES))


def _curve(softcap: Softcap, cap: float) -> str:
    reach = max(2 * cap, abs(softcap.lowest), abs(softcap.highest))
    middle, height = WIDTH / 2, 90.0

    def at(raw: float) -> tuple[float, float]:
        return middle + raw / reach * (WIDTH / 2 - 16), height / 2 + 8 - math.tanh(raw / cap) * height / 2

    curve = line([at(reach * step / 40) for step in range(-40, 41)], "curve")
    dots = [box(x - 3, y - 3, 6, 6, "dot", 3) for x, y in (at(bent.raw) for bent in softcap.shown)]
    level = line([(16, height / 2 + 8), (WIDTH - 16, height / 2 + 8)], "axis")
    upright = line([(middle, 8), (middle, 98)], "axis")
    told = ", ".join(f"{bent.raw:.1f} becomes {bent.capped:.1f}" for bent in softcap.shown)
    return svg(WIDTH, 106, "Softcap", told, [level, upright, curve, *dots])


def _dials(rope: Rope) -> str:
    elements = []
    for centre, turn, name in ((WIDTH * 0.28, rope.query, "query"), (WIDTH * 0.72, rope.key, "key")):
        elements += _dial(centre, turn, name)
    return svg(WIDTH, 128, "RoPE", "A pair of channels before and after it is turned, for query and key.", elements)


def _dial(centre: float, turn: Turn, name: str) -> list[str]:
    radius, y = 48.0, 56.0
    length = math.hypot(*turn.before) or 1.0
    rim = [(centre + radius * math.cos(step * math.pi / 24), y + radius * math.sin(step * math.pi / 24))
           for step in range(49)]  # fmt: skip

    def hand(pair: tuple[float, float], style: str) -> str:
        return line([(centre, y), (centre + radius * pair[0] / length, y - radius * pair[1] / length)], style)

    return [line(rim, "axis"), hand(turn.before, "hand-before"), hand(turn.after, "hand-after"),
            words(centre, 118, f"{name}, place {turn.place}", "small", "middle")]  # fmt: skip


def _norm_rows(norm: Norm, kind: str) -> list[tuple[str, str, float]]:
    return [
        (f"{kind}, turned", _numbers(norm.before), norm.size_before),
        (f"{kind}, normalised", _numbers(norm.after), norm.size_after),
    ]


def _numbers(values: Sequence[float]) -> str:
    return " ".join(f"{value:.2f}" for value in values) + " …"
