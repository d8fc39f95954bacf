"""Three sums of the model with a token's own numbers: softcap, RoPE, QK-norm. Values in, HTML and SVG out."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from nanochat.lens.arithmetic import Match, Norm, Rope, Softcap, Turn
from nanochat.ui.inspector_tokens import code, percent, table_html
from nanochat.ui.shapes import box, line, svg, words

WIDTH = 340.0


def softcap_html(softcap: Softcap, name: Callable[[int], str]) -> str:
    """Return the curve of the softcap with this token's logits on it, and their numbers."""
    rows = "".join(
        f'<tr><th scope="row">{code(name(bent.id))}</th><td>{bent.raw:.3f}</td><td>{bent.capped:.3f}</td></tr>'
        for bent in softcap.shown
    )
    curve = "" if softcap.cap is None else _curve(softcap, softcap.cap)
    said = "The logits are as the head gives them." if softcap.cap is None else (
        f"No score may run away: z = {softcap.cap:g} · tanh(raw / {softcap.cap:g}). Raw logits here run from "
        f"{softcap.lowest:.1f} to {softcap.highest:.1f}; the dots are those of the table."
    )  # fmt: skip
    table = table_html("Softcap", ["Token", "Raw", "Capped"], rows)
    return f'<h3>Softcap</h3><p class="inside-note">{said}</p>{curve}{table}'


def rope_html(match: Match, names: tuple[str, str]) -> str:
    """Return one pair of channels of a query and a key, turned for their two places."""
    rope, marks = match.rope, [code(name) for name in names]
    return (
        f"<h3>RoPE, layer {match.layer}, head {match.head + 1}</h3>"
        '<p class="inside-note">A place is told by turning: each pair of channels turns by an angle that grows with '
        "the place, dashed before and whole after. "
        f"Pair {rope.pair} of the query at {marks[0]} (place {rope.query.place}) "
        f"turns by −{rope.query.angle:.2f} rad, of the key at {marks[1]} (place {rope.key.place}) by "
        f"−{rope.key.angle:.2f} rad. The product of query and key is {rope.score:.3f}; with both "
        f"{rope.moved_tokens} tokens later it is {rope.moved_score:.3f}: only the distance counts.</p>" + _dials(rope)
    )


def norm_html(match: Match) -> str:
    """Return QK-norm on one head with its numbers, up to the share of attention that came of them."""
    rows = "".join(
        f'<tr><th scope="row">{label}</th><td>{size:.3f}</td><td>{numbers}</td></tr>'
        for norm, kind in ((match.query, "query"), (match.key, "key"))
        for label, numbers, size in _norm_rows(norm, kind)
    )
    return (
        '<h3>QK-norm of the same head</h3><p class="inside-note">Query and key are both brought to a root mean square '
        "of 1, so no head can shout.</p>"
        + table_html("QK-norm", ["Vector", "RMS", "First channels"], rows)
        + f'<p class="inside-note">query · key × {match.scaling:.4f} = {match.score:.3f}, which after the softmax is '
        f"{percent(match.weight)} of this head's attention.</p>"
    )


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
