"""Pictures of what every model does alike. Values in, SVG out.

The heights of the bars are an example; what is done to them is done here as in the model.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from nanochat.ui.plan import Plan
from nanochat.ui.shapes import arrow, bars, box, line, plus, svg, vector, words

WIDTH = 340.0
EXAMPLE = (0.9, -2.1, 0.4, 3.0, -1.2, 0.3, 1.6, -0.7)
SCORES = (2.1, -0.4, 0.9, 3.2, -1.8, 1.4, -2.6, 0.2)


def root_mean_square(values: Sequence[float]) -> float:
    return math.sqrt(sum(value * value for value in values) / len(values))


def norm(_: Plan) -> str:
    """Numbers of any size on the left, the same numbers at the common size on the right."""
    size = root_mean_square(EXAMPLE)
    elements = [
        bars(24, 44, [12 * value for value in EXAMPLE], "choice"),
        arrow([(146, 44), (190, 44)]),
        bars(206, 44, [12 * value / size for value in EXAMPLE], "choice"),
        words(80, 84, f"size {size:.2f}", "small", "middle"),
        words(262, 84, "size 1", "small", "middle"),
    ]
    return svg(WIDTH, 92, "RMSNorm", "Bars of different heights, and the same bars divided by their size.", elements)


def copied(_: Plan) -> str:
    """The stream goes on; a copy of it is normalised."""
    elements = [
        line([(12, 14), (328, 14)], "stream"),
        arrow([(80, 16), (80, 46), (118, 46)]),
        box(120, 35, 82, 22, "pill", 11),
        words(161, 46, "RMSNorm", "small", "middle"),
        arrow([(204, 46), (250, 46)]),
        vector(254, 40, 74),
    ]
    return svg(WIDTH, 62, "A normalised copy", "The stream runs on; a branch of it passes a norm.", elements)


def ended(_: Plan) -> str:
    """The stream itself is normalised: nothing comes after."""
    elements = [
        line([(12, 20), (116, 20)], "stream"),
        box(120, 9, 82, 22, "pill", 11),
        words(161, 20, "RMSNorm", "small", "middle"),
        arrow([(204, 20), (250, 20)]),
        vector(254, 14, 74),
    ]
    return svg(WIDTH, 40, "The last norm", "The stream ends in a norm.", elements)


def mix(_: Plan) -> str:
    """Two rows of numbers, each with its weight, become one."""
    elements = []
    for y, name, weight in ((10, "stream", "λ"), (44, "embedding", "μ")):
        elements += [
            words(12, y + 6, name, "small"),
            vector(76, y, 84),
            words(172, y + 6, weight, "words"),
            arrow([(184, y + 6), (216, y + 6), (216, 25 if y < 30 else 41)]),
        ]
    return svg(WIDTH, 66, "Residual mix", "Stream and embedding, each times a learned number, are added.",
               [*elements, plus(216, 33), arrow([(224, 33), (250, 33)]), vector(254, 27, 74)])  # fmt: skip


def addition(_: Plan) -> str:
    """What the MLP found joins the stream."""
    elements = [
        box(110, 4, 62, 24, "mlp"),
        words(141, 16, "MLP", "small", "middle"),
        arrow([(174, 16), (230, 16), (230, 41)]),
        line([(12, 50), (328, 50)], "stream"),
        plus(230, 50),
    ]
    return svg(WIDTH, 62, "Added to the stream", "The result of the MLP is added to the stream.", elements)


def smear(_: Plan) -> str:
    """A share of the token before comes to this token's numbers."""
    elements = [
        words(12, 16, "token before", "small"),
        vector(92, 10, 100),
        words(12, 56, "this token", "small"),
        vector(92, 50, 100),
        arrow([(194, 56), (222, 56)]),
        arrow([(194, 16), (230, 16), (230, 47)]),
        words(240, 30, "λ · gate", "small"),
        plus(230, 56),
        arrow([(238, 56), (252, 56)]),
        vector(254, 50, 74),
    ]
    return svg(WIDTH, 70, "Smear", "A share of the numbers of the token before is added.", elements)


def softmax(scores: Sequence[float], temperature: float) -> list[float]:
    """Return the probabilities that the formula gives."""
    powers = [math.exp((score - max(scores)) / temperature) for score in scores]
    return [power / sum(powers) for power in powers]


def probabilities(_: Plan) -> str:
    """The same scores at three temperatures."""
    elements = []
    for place, temperature in enumerate((0.5, 1.0, 2.0)):
        x = 10 + 112 * place
        heights = [62 * chance for chance in softmax(SCORES, temperature)]
        elements += [bars(x, 68, heights, "choice", 12), words(x + 48, 80, f"T = {temperature:g}", "small", "middle")]
    told = "Bars for the same scores at temperature 0.5, 1 and 2: steep, less steep, nearly even."
    return svg(WIDTH, 88, "Probabilities at three temperatures", told, elements)
