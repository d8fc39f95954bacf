"""The logit lens: what the model would say if it stopped after each layer, and who moved the stream there.

Every layer adds to the same stream, and the head reads the stream at the end. NanoChat's norms have no weights, so the
head can read the stream after any layer just as well: the words it finds there show how the answer takes shape.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nanochat.lens.reading import LayerAt, Reading, raw_logits

SHOWN_GUESSES = 5


@dataclass(frozen=True, slots=True)
class Guess:
    """An entry of the vocabulary and the probability it has."""

    id: int
    probability: float


@dataclass(frozen=True, slots=True)
class LensRow:
    """What the head reads after `layer` layers, 0 being the embedding: its best guesses, where the chosen id stands.

    `rank` 1 is the best guess; `probability` is the chosen id's.
    """

    layer: int
    best: tuple[Guess, ...]
    rank: int
    probability: float


@dataclass(frozen=True, slots=True)
class Shares:
    """Whose the stream is after a layer: what it started from, what attention added, what the MLP added.

    Each is the part's extent along the stream as a share of the stream's length. Together they are 1; a part that
    pulls against the stream has a share below zero.
    """

    layer: int
    before: float
    attention: float
    mlp: float


@torch.inference_mode()
def lens_scores(reading: Reading, steps: Sequence[LayerAt], place: int) -> Tensor:
    """Return the raw scores after the embedding and after each layer, (layers + 1, vocabulary), before any softcap.

    The last row is the model's answer: where the model takes its half-depth stream out at the end, so does that row.
    """
    model = reading.model
    streams = [reading.start[place], *(step.after for step in steps)]
    if model.model.backout is not None:
        streams[-1] = model.model.backout(streams[-1], steps[len(steps) // 2].after)
    normed = model.model.norm(torch.stack(streams))
    return raw_logits(reading, normed)


def lens_rows(logits: Tensor, chosen_id: int) -> tuple[LensRow, ...]:
    """Return what each row of logits says, (layers + 1, vocabulary), and how high it holds the chosen id."""
    probabilities = logits.softmax(dim=-1)
    best = probabilities.topk(min(SHOWN_GUESSES, logits.shape[-1]))
    ranks = (logits > logits[:, chosen_id : chosen_id + 1]).sum(dim=-1) + 1
    return tuple(
        LensRow(layer, tuple(map(Guess, ids, values)), rank, probability)
        for layer, (ids, values, rank, probability) in enumerate(
            zip(
                best.indices.tolist(),
                best.values.tolist(),
                ranks.tolist(),
                probabilities[:, chosen_id].tolist(),
                strict=True,
            )
        )
    )


def decided_after(rows: Sequence[LensRow]) -> int | None:
    """Return the number of layers after which the chosen id is the best guess and stays it; None if it never is."""
    decided = None
    for row in reversed(rows):
        if row.rank != 1:
            break
        decided = row.layer
    return decided


def shares(step: LayerAt, layer: int) -> Shares:
    """Divide the stream after a layer among its three sources."""
    stream = step.after.float()
    length = stream.dot(stream)
    parts = [float(part.float().dot(stream) / length) for part in (step.before, step.attended, step.computed)]
    return Shares(layer, *parts)
