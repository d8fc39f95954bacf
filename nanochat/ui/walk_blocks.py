"""Pictures of what happens in a layer, each from the numbers of the model. Values in, SVG out."""

from __future__ import annotations

import math

import torch
from transformers.activations import ACT2FN

from nanochat.ui.plan import Plan
from nanochat.ui.shapes import area, arrow, box, line, plus, svg, vector, words

WIDTH = 340.0
HANDS = ((34.0, 0.4), (17.0, 1.5), (26.0, 2.7), (12.0, 4.1), (30.0, 5.3))


def projections(plan: Plan) -> str:
    """One row of numbers becomes three rows of heads; a head has the colour of the keys and values it works with."""
    facts = plan.facts
    pitch = min(18.0, 200 / facts.heads)
    elements = [vector(8, 44, 78), words(47, 68, f"{facts.hidden_size:,} numbers", "small", "middle")]
    for y, name, heads in ((14, "q", facts.heads), (50, "k", facts.kv_heads), (86, "v", facts.kv_heads)):
        elements += [
            arrow([(88, 50), (98, 50), (98, y), (112, y)] if y != 50 else [(88, 50), (112, 50)]),
            words(119, y, name, "words"),
            _heads(132, y, heads, facts.kv_heads, pitch),
        ]
    told = f"{facts.heads} heads of queries, {facts.kv_heads} of keys and {facts.kv_heads} of values."
    return svg(WIDTH, 100, "Queries, keys and values", told, elements)


def value_layers(plan: Plan) -> str:
    """A square for each layer, filled where it looks up values."""
    layers = plan.facts.layers
    pitch = min(22.0, 320 / len(layers))
    squares = [
        box(10 + pitch * place, 6, pitch * 0.8, 16, "choice" if layer.value_embedding else "step", 2)
        for place, layer in enumerate(layers)
    ]
    ends = [words(10 + pitch * (place - 0.6), 34, str(place), "small", "middle") for place in sorted({1, len(layers)})]
    told = f"{plan.value_layers} of {len(layers)} squares are filled."
    return svg(WIDTH, 42, "Layers with a value embedding", told, [*squares, *ends])


def frequency(plan: Plan, pair: int) -> float:
    """Return by how many radians a pair of channels is turned from one position to the next."""
    return float(plan.rope_base ** (-pair / (plan.facts.head_size // 2)))


def dials(plan: Plan) -> str:
    """The first, the middle and the last pair of a head, each with its hand at the first eight positions."""
    pairs = plan.facts.head_size // 2
    shown = sorted({0, pairs // 2, pairs - 1})
    elements = []
    for place, pair in enumerate(shown):
        centre, turn = WIDTH * (2 * place + 1) / (2 * len(shown)), frequency(plan, pair)
        elements += [f'<circle class="axis" cx="{centre:.1f}" cy="44" r="36"/>']
        for position in range(8):
            x, y = centre + 36 * math.cos(turn * position), 44 + 36 * math.sin(turn * position)
            elements.append(line([(centre, 44), (x, y)], "hand-after" if position == 0 else "line"))
        elements += [
            words(centre, 92, f"pair {pair}: round in", "small", "middle"),
            words(centre, 105, f"{2 * math.pi / turn:,.0f} tokens", "small", "middle"),
        ]
    told = "; ".join(f"pair {pair} is round in {2 * math.pi / frequency(plan, pair):,.0f} tokens" for pair in shown)
    return svg(WIDTH, 114, "RoPE", told, elements)


def same_size(plan: Plan) -> str:
    """Hands of different lengths, and the same hands all as long as one another."""
    elements = []
    for centre, name in ((85.0, "as they come"), (255.0, f"each of size {plan.config.qk_scale:g}")):
        elements += [
            f'<circle class="axis" cx="{centre:g}" cy="44" r="36"/>',
            words(centre, 92, name, "small", "middle"),
        ]
        for length, angle in HANDS:
            reach = length if centre < 100 else 36
            elements.append(line([(centre, 44), (centre + reach * math.cos(angle), 44 + reach * math.sin(angle))]))
    return svg(WIDTH, 102, "QK-norm", "Arrows of different lengths are brought to one length.",
               [*elements, arrow([(144, 44), (196, 44)])])  # fmt: skip


def triangle(plan: Plan) -> str:
    """A row for each token of the sentence: it sees itself and the tokens before it."""
    tokens = plan.sentence[:8]
    elements = []
    for row, token in enumerate(tokens):
        elements.append(words(112, 12 + 14 * row, token.name.strip()[:14] or "·", "small", "end"))
        elements += [
            box(122 + 14 * column, 6 + 14 * row, 12, 12, "seen" if column <= row else "unseen", 2)
            for column in range(len(tokens))
        ]
    side = 132 + 14 * len(tokens)
    elements += [words(side, 12, "may look at", "small"), words(side, 26, "what is filled", "small")]
    height = 14 * len(tokens) + 10
    return svg(WIDTH, height, "What each token sees", "A triangle: each token sees itself and those before.", elements)


def reaches(plan: Plan) -> str:
    """A bar for each layer, as long as it sees back."""
    facts = plan.facts
    pitch = min(12.0, 180 / len(facts.layers))
    elements = [
        box(8, 4 + pitch * place, max(3.0, 250 * layer.window_tokens / facts.context_tokens), pitch * 0.7,
            "bar" if layer.window_tokens < facts.context_tokens else "choice", 2)
        for place, layer in enumerate(facts.layers)
    ]  # fmt: skip
    bottom = 4 + pitch * len(facts.layers)
    elements += [
        words(264, 10, "layer 1", "small"),
        words(264, bottom - 5, f"layer {len(facts.layers)}", "small"),
        words(8, bottom + 10, f"{min(plan.windows):,} or all {facts.context_tokens:,} tokens", "small"),
    ]
    told = "; ".join(f"layer {place} sees {layer.window_tokens}" for place, layer in enumerate(facts.layers, 1))
    return svg(WIDTH, bottom + 20, "How far each layer sees", told, elements)


def joined_heads(plan: Plan) -> str:
    """The heads side by side, one matrix, and the sum with the stream."""
    facts = plan.facts
    pitch = min(18.0, 150 / facts.heads)
    elements = [
        _heads(12, 20, facts.heads, facts.kv_heads, pitch),
        arrow([(16 + pitch * facts.heads, 20), (196, 20)]),
        box(198, 8, 62, 24, "step"),
        words(229, 20, "o_proj", "small", "middle"),
        arrow([(262, 20), (290, 20), (290, 45)]),
        line([(12, 54), (328, 54)], "stream"),
        plus(290, 54),
    ]
    return svg(WIDTH, 66, "Back to the stream", f"{facts.heads} heads pass one matrix and are added.", elements)


def mlp(plan: Plan) -> str:
    """An hourglass as wide as the MLP is wider than the stream, and the curve that its neurons pass."""
    facts = plan.facts
    wide = 34.0
    narrow = wide * min(1.0, facts.hidden_size / facts.intermediate_size)
    elements = [
        area([(12, 42 - narrow), (100, 42 - wide), (100, 42 + wide), (12, 42 + narrow)], "fan"),
        area([(104, 42 - wide), (192, 42 - narrow), (192, 42 + narrow), (104, 42 + wide)], "fan"),
        words(12, 88, f"{facts.hidden_size:,}", "small"),
        words(102, 88, f"{facts.intermediate_size:,}", "small", "middle"),
        words(192, 88, f"{facts.hidden_size:,}", "small", "end"),
        line([(218, 70), (328, 70)], "axis"),
        line([(273, 6), (273, 78)], "axis"),
        line(curve(plan.config.hidden_act), "curve"),
        words(273, 88, plan.activation, "small", "middle"),
    ]
    told = f"{facts.hidden_size} numbers open into {facts.intermediate_size}, pass a curve, and close again."
    return svg(WIDTH, 96, "MLP", told, elements)


def curve(activation: str) -> list[tuple[float, float]]:
    """Return the points of an activation from -2 to 2, computed as the model does, in a field of 110 by 64."""
    inputs = torch.linspace(-2, 2, 41)
    outputs = ACT2FN[activation](inputs)
    largest = max(1e-6, float(outputs.abs().max()))
    return [
        (273 + 27 * x, 70 - 60 * max(-0.12, y / largest))
        for x, y in zip(inputs.tolist(), outputs.tolist(), strict=True)
    ]


def _heads(x: float, y: float, heads: int, groups: int, pitch: float) -> str:
    side = min(14.0, pitch * 0.8)
    return "".join(
        box(x + pitch * head, y - side / 2, pitch * 0.8, side, f"head-{head * groups // heads % 6}", 2)
        for head in range(heads)
    )
