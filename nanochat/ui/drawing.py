"""The loaded model as a picture, computed from what was counted of it, so that another checkpoint gets its own.

Drawn in the order a token travels, from top to bottom. The thick line is the residual stream: each block reads from
it and adds to it. The first block is opened, with one square for each attention head and an hourglass as wide as the
MLP is wider than the stream; the others are the bars below it, short ones where attention sees a window only. What the
current architecture adds stands where it acts, on the stream or within the attention, if the model has it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from nanochat.model.facts import ModelFacts
from nanochat.ui.plan import Plan
from nanochat.ui.shapes import area, arrow, box, line, plus, svg, words

WIDTH = 340.0
STREAM = 34.0
LEFT, RIGHT = 74.0, 326.0
MIDDLE = (LEFT + RIGHT) / 2
ATTENTION_HEIGHT = 74.0


def drawing(plan: Plan) -> str:
    """Return the picture as one SVG element."""
    facts = plan.facts
    elements, y = _entrance(plan, 14.0)
    opened, y = _opened_block(plan, y)
    others, y = _other_blocks(facts, y)
    taken, y = _on_stream(plan.config.backout, y, "Backout", f"takes out the stream after block {plan.halfway}")
    elements += [*opened, *others, *taken]
    stream = line([(STREAM, 44), (STREAM, y + 24)], "stream")
    drawn, y = _exit(facts, plan.config.final_logit_softcapping, y)
    return svg(WIDTH, y, _title(facts), _description(plan), [stream, *elements, *drawn])


def _entrance(plan: Plan, y: float) -> tuple[list[str], float]:
    """The token and its embedding: one row of a table."""
    facts = plan.facts
    tokens = [
        part
        for place, text in enumerate(("The", " fox", " ran"))
        for part in (
            box(LEFT + 56 * place, y - 10, 50, 20, "chip", 10),
            words(LEFT + 56 * place + 25, y, text.strip(), "small", "middle"),
        )
    ]
    table = _step(y + 24, "Embedding", f"{facts.vocabulary:,} tokens, {facts.hidden_size:,} numbers each")
    norm = _pill(y + 76, "RMSNorm")
    smear, below = _on_stream(plan.config.smear, y + 104, "Smear", "adds some of the token before")
    return [*tokens, *table, *norm, *smear], below


def _opened_block(plan: Plan, y: float) -> tuple[list[str], float]:
    title = words(LEFT, y + 14, f"Block 1 of {len(plan.facts.layers)}", "small")
    mix, top = _on_stream(plan.config.residual_lambdas, y + 30, "Mix", "with the embedding, again in each block")
    height = ATTENTION_HEIGHT + (16 if plan.value_layers else 0)
    parts = [*mix, *_attention(plan, top, height), *_mlp(plan, top + height + 22)]
    below = top + height + 112
    return [box(8, y, WIDTH - 16, below - y, "frame", 10), title, *parts], below + 8


def _attention(plan: Plan, y: float, height: float) -> Iterator[str]:
    """A square for each query head, in the colour of the key-value head that it shares."""
    facts = plan.facts
    yield arrow([(STREAM, y + 8), (LEFT, y + 8)])
    yield box(LEFT, y, RIGHT - LEFT, height, "attention")
    yield words(LEFT + 10, y + 14, "Attention")
    yield words(RIGHT - 10, y + 14, "RMSNorm, RoPE, QK-norm", "small", "end")
    heads, groups = facts.heads, facts.kv_heads
    pitch = min(18.0, (RIGHT - LEFT - 20) / heads)
    for head in range(heads):
        shade = f"head-{head * groups // heads % 6}"
        yield box(LEFT + 10 + pitch * head, y + 28, pitch * 0.8, min(14.0, pitch * 0.8), shade, 2)
    shared = "" if groups == heads else f", {groups} for keys and values"
    yield words(LEFT + 10, y + 58, f"{heads} heads of {facts.head_size}{shared}", "small")
    if plan.value_layers:
        told = f"Value embeddings in {plan.value_layers} of {len(facts.layers)} blocks"
        yield words(LEFT + 10, y + 74, told, "small")
    yield arrow([(LEFT, y + height - 8), (STREAM + 7, y + height - 8)])
    yield plus(STREAM, y + height - 8)


def _mlp(plan: Plan, y: float) -> Iterator[str]:
    """An hourglass: wide in the middle, by as much as the MLP is wider than the stream."""
    facts = plan.facts
    yield arrow([(STREAM, y + 8), (LEFT, y + 8)])
    yield box(LEFT, y, RIGHT - LEFT, 74, "mlp")
    yield words(LEFT + 10, y + 14, "MLP")
    yield words(RIGHT - 10, y + 14, f"RMSNorm, {plan.activation}", "small", "end")
    wide = (RIGHT - LEFT - 20) / 2
    narrow = wide * min(1.0, facts.hidden_size / facts.intermediate_size)
    top, middle, bottom = y + 26, y + 37, y + 48
    yield area(
        [(MIDDLE - narrow, top), (MIDDLE + narrow, top), (MIDDLE + wide, middle), (MIDDLE - wide, middle)], "fan"
    )
    yield area(
        [(MIDDLE - wide, middle), (MIDDLE + wide, middle), (MIDDLE + narrow, bottom), (MIDDLE - narrow, bottom)], "fan"
    )
    yield words(
        LEFT + 10, y + 62, f"{facts.hidden_size:,} → {facts.intermediate_size:,} → {facts.hidden_size:,}", "small"
    )
    yield arrow([(LEFT, y + 66), (STREAM + 7, y + 66)])
    yield plus(STREAM, y + 66)


def _other_blocks(facts: ModelFacts, y: float) -> tuple[list[str], float]:
    windows = [layer.window_tokens for layer in facts.layers[1:]]
    if not windows:
        return [], y
    whole = facts.context_tokens
    pitch = min(14.0, 160 / len(windows))
    bars = [
        box(
            STREAM - 12,
            y + 4 + pitch * place,
            (RIGHT - STREAM + 12) * (1 if window == whole else 0.5),
            pitch * 0.7,
            "bar",
            3,
        )
        for place, window in enumerate(windows)
    ]
    below = y + 4 + pitch * len(windows)
    first, last = 2, len(facts.layers)
    name = f"Block {last}" if first == last else f"Blocks {first} to {last}"
    drawn = [*bars, words(LEFT, below + 10, f"{name}: the same again", "small")]
    short = min(windows)
    if short == whole:
        return drawn, below + 24
    return [
        *drawn,
        words(LEFT, below + 24, f"Short bars see {short:,} tokens, long ones {whole:,}", "small"),
    ], below + 38


def _exit(facts: ModelFacts, softcap: float | None, y: float) -> tuple[list[str], float]:
    """From the stream back to words: a score for each token, bent so that none runs away."""
    norm = _pill(y, "RMSNorm")
    head = _step(y + 26, "LM head", f"{facts.hidden_size:,} numbers to {facts.vocabulary:,} scores")
    return [*norm, *head, *_softcap(softcap, y + 78), *_choice(y + 78)], y + 128


def _softcap(cap: float | None, y: float) -> Iterable[str]:
    if not cap:
        return []
    curve = [(LEFT + 22 + 18 * step / 10, y + 20 - 14 * math.tanh(step / 10 * 2)) for step in range(-10, 11)]
    return [
        box(LEFT, y, 118, 40, "step"),
        line(curve, "curve"),
        words(LEFT + 48, y + 13, "Softcap"),
        words(LEFT + 48, y + 28, f"at most ±{cap:g}", "small"),
    ]


def _choice(y: float) -> list[str]:
    bars = [
        box(RIGHT - 108 + 14 * place, y + 34 - height, 9, height, "choice", 2)
        for place, height in enumerate((6, 26, 12, 4))
    ]
    return [*bars, words(RIGHT - 46, y + 13, "Next"), words(RIGHT - 46, y + 28, "token", "small")]


def _step(y: float, name: str, about: str) -> list[str]:
    return [box(8, y, RIGHT - 8, 42, "step"), words(LEFT, y + 14, name), words(LEFT, y + 29, about, "small")]


def _pill(y: float, name: str) -> list[str]:
    return [box(8, y, 52, 18, "pill", 9), words(STREAM, y + 9, name, "tiny", "middle")]


def _on_stream(present: bool, y: float, name: str, about: str) -> tuple[list[str], float]:
    """A part that acts on the stream itself, in words; return where the next one goes too."""
    if not present:
        return [], y
    return [*_pill(y, name), words(LEFT, y + 9, about, "small")], y + 28


def _title(facts: ModelFacts) -> str:
    return f"A NanoChat with {len(facts.layers)} blocks"


def _description(plan: Plan) -> str:
    facts = plan.facts
    described = (
        f"A token is looked up in an embedding of {facts.hidden_size} numbers, passes {len(facts.layers)} "
        f"blocks of attention with {facts.heads} heads and an MLP of {facts.intermediate_size}, each "
        f"added to the residual stream, and ends as a score for each of {facts.vocabulary} tokens."
    )
    return f"{described} It also has {', '.join(plan.additions)}." if plan.additions else described
