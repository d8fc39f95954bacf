"""Pictures of the way into the layers and out of them, each from the numbers of the model. Values in, SVG out."""

from __future__ import annotations

import math
from collections.abc import Sequence

from nanochat.ui.plan import Plan, Sample
from nanochat.ui.shapes import area, arrow, bars, box, line, svg, vector, words
from nanochat.ui.walk_sketches import SCORES

WIDTH = 340.0
LETTER = 7.0
MOST_LETTERS = 14


def tokens(plan: Plan) -> str:
    """The sentence as the model's own tokenizer cuts it, each piece above its id."""
    placed, height = _rows(plan.sentence)
    elements = []
    for token, x, y, width in placed:
        elements += [
            box(x, y, width, 20, "chip", 5),
            words(x + width / 2, y + 10, _shown(token), "small", "middle"),
            words(x + width / 2, y + 30, str(token.id), "tiny", "middle"),
        ]
    told = "; ".join(f"{token.name} is {token.id}" for token in plan.sentence)
    return svg(WIDTH, height, "A sentence in tokens", told, elements)


def embedding(plan: Plan) -> str:
    """The table, a line where the row of a token is, and the row taken out."""
    facts = plan.facts
    token = plan.sentence[min(1, len(plan.sentence) - 1)]
    y = 16 + 60 * token.id / facts.vocabulary
    elements = [
        words(8, y, f"id {token.id}", "small"),
        arrow([(62, y), (78, y)]),
        box(80, 14, 84, 64, "step"),
        box(80, y - 1.5, 84, 3, "choice", 1),
        arrow([(168, y), (184, y), (184, 46), (206, 46)] if abs(y - 46) > 1 else [(168, y), (206, y)]),
        vector(210, 40, 118),
        words(122, 88, f"{facts.vocabulary:,} rows", "small", "middle"),
        words(269, 66, f"{facts.hidden_size:,} numbers", "small", "middle"),
    ]
    told = f"A table of {facts.vocabulary} rows; row {token.id} is taken out: {facts.hidden_size} numbers."
    return svg(WIDTH, 98, "Embedding", told, elements)


def layers(plan: Plan) -> str:
    """A box for each layer, with the stream through all of them."""
    elements = [line([(6, 26), (334, 26)], "stream"), *_boxes(plan)]
    return svg(WIDTH, 52, "The layers", f"The stream passes {len(plan.facts.layers)} layers.", elements)


def backout(plan: Plan) -> str:
    """The stream is tapped after the middle layer, and that much is subtracted after the last one."""
    count = len(plan.facts.layers)
    tap = 16 + 264 / count * (count // 2 + 1)
    elements = [
        line([(6, 26), (334, 26)], "stream"),
        *_boxes(plan, 264),
        arrow([(tap, 28), (tap, 64), (308, 64), (308, 36)]),
        words((tap + 308) / 2, 56, "λ", "small", "middle"),
        f'<circle class="plus" cx="308" cy="26" r="7"/>{line([(304.5, 26), (311.5, 26)], "sign")}',
    ]
    told = f"The stream after layer {count // 2 + 1} is subtracted after layer {count}."
    return svg(WIDTH, 70, "Backout", told, elements)


def head(plan: Plan) -> str:
    """A row of numbers, a table with a row for each token, a score for each token."""
    facts = plan.facts
    rows = [line([(122, 14 + 8 * row), (206, 14 + 8 * row)], "mark") for row in range(1, 8)]
    elements = [
        vector(8, 40, 86),
        arrow([(98, 46), (120, 46)]),
        box(122, 14, 84, 64, "step"),
        *rows,
        arrow([(210, 46), (224, 46)]),
        bars(228, 50, [10 * score for score in SCORES], "choice", 13),
        words(51, 66, f"{facts.hidden_size:,} numbers", "small", "middle"),
        words(164, 88, f"{facts.vocabulary:,} rows", "small", "middle"),
        words(280, 88, "scores", "small", "middle"),
    ]
    told = f"{facts.hidden_size} numbers meet {facts.vocabulary} rows and give as many scores."
    return svg(WIDTH, 98, "Head", told, elements)


def softcap(plan: Plan) -> str:
    """The curve between its bounds, and the line it would be without them."""
    cap = plan.config.final_logit_softcapping or 1.0
    reach, middle, across, up = 3 * cap, 46.0, 140.0, 30.0

    def at(score: float, bent: float) -> tuple[float, float]:
        return 170 + across * score / reach, middle - up * bent / cap

    raw = [reach * step / 40 for step in range(-40, 41)]
    elements = [
        *(line([at(-reach, side * cap), at(reach, side * cap)], "bound") for side in (1, -1)),
        line([at(-reach, 0), at(reach, 0)], "axis"),
        line([at(-1.4 * cap, -1.4 * cap), at(1.4 * cap, 1.4 * cap)], "bound"),
        line([at(score, cap * math.tanh(score / cap)) for score in raw], "curve"),
        words(28, middle - up + 8, f"+{cap:g}", "small"),
        words(310, middle + up - 8, f"−{cap:g}", "small", "end"),
    ]
    return svg(WIDTH, 92, "Softcap", f"A curve that stays between minus and plus {cap:g}.", elements)


def next_token(plan: Plan) -> str:
    """The drawn token joins the others, and the way begins again."""
    placed, _ = _rows(plan.sentence[:4])
    first = [place for place in placed if place[2] == placed[0][2]]
    end = first[-1][1] + first[-1][3] + 8
    elements = [box(end, 6, 34, 20, "drawn", 5), words(end + 17, 16, "?", "words", "middle")]
    for token, x, y, width in first:
        elements += [box(x, y, width, 20, "chip", 5), words(x + width / 2, y + 10, _shown(token), "small", "middle")]
    model_left, model_right = 120, 220
    elements += [
        arrow([(24, 30), (24, 58), (model_left, 58)]),
        box(model_left, 46, model_right - model_left, 24, "mlp"),
        words(170, 58, "the model", "small", "middle"),
        # Down from all tokens, through the model, up to the new one.
        arrow([(model_right, 58), (end + 17, 58), (end + 17, 29)])
        if end + 17 > model_right + 8
        else arrow([(model_right, 58), (328, 58), (328, 16), (end + 38, 16)]),
    ]
    return svg(
        WIDTH, 76, "The next token", "Tokens go through the model, a new one comes out and joins them.", elements
    )


def quantized(plan: Plan) -> str:
    """Weights anywhere on a line, and the nearest of the steps that the bits allow."""
    steps = 2 ** min(plan.quantized_bits)
    shown = min(steps, 16)
    pitch = 300 / (shown - 1)
    elements = [line([(20 + pitch * step, 40), (20 + pitch * step, 48)], "axis") for step in range(shown)]
    for value in (0.07, 0.24, 0.38, 0.52, 0.71, 0.93):
        x = 20 + 300 * value
        nearest = 20 + pitch * round(value * (shown - 1))
        elements += [line([(x, 14), (nearest, 40)]), area([(x - 3, 8), (x + 3, 8), (x, 14)], "choice"),
                     box(nearest - 3, 41, 6, 6, "choice", 3)]  # fmt: skip
    part = "" if shown == steps else f", {shown} of them drawn"
    elements += [words(170, 64, f"{steps} steps{part}", "small", "middle")]
    return svg(WIDTH, 72, "Weights in few bits", f"Each weight moves to the nearest of {steps} steps.", elements)


def _rows(sentence: Sequence[Sample]) -> tuple[list[tuple[Sample, float, float, float]], float]:
    """Place chips side by side, in as many rows as they need: token, x, y, width each; and the height of all rows."""
    placed, x, y = [], 8.0, 6.0
    for token in sentence:
        width = LETTER * max(len(_shown(token)), len(str(token.id))) + 12
        if x + width > WIDTH - 8:
            x, y = 8.0, y + 44
        placed.append((token, x, y, width))
        x += width + 6
    return placed, y + 42


def _shown(token: Sample) -> str:
    """Return a token with its blanks made visible, cut where it is very long."""
    name = token.name.replace(" ", "·").replace("\n", "↵")
    return name if len(name) <= MOST_LETTERS else name[: MOST_LETTERS - 1] + "…"


def _boxes(plan: Plan, across: float = 308) -> list[str]:
    count = len(plan.facts.layers)
    pitch = across / count
    width = min(40.0, pitch * 0.75)
    elements = []
    for place in range(count):
        x = 16 + pitch * place + (pitch - width) / 2
        elements.append(box(x, 8, width, 36, "bar", 3))
        if pitch >= 20:
            elements.append(words(x + width / 2, 26, str(place + 1), "small", "middle"))
    return elements
