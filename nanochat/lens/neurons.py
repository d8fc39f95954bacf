"""Inside the MLP: which neurons fire for a token, and which words they speak for.

The MLP squares what is positive and drops the rest, so most neurons are exactly zero. One that fires adds its column of
`fc2` to the stream; read by the head, that column is a list of words which the neuron makes more likely.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nanochat.lens.reading import LayerAt, Reading, raw_logits

SHOWN_NEURONS = 2
SHOWN_WORDS = 5


@dataclass(frozen=True, slots=True)
class Neuron:
    """A neuron that fires: how strongly, the length of what it adds, and the ids it pushes up most."""

    index: int
    activation: float
    added_length: float
    pushes_up: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Firing:
    """A layer's neurons at one token: how many there are, how many are exactly zero, and those that fire most."""

    layer: int
    neurons: int
    zeros: int
    strongest: tuple[Neuron, ...]


@torch.inference_mode()
def firings(reading: Reading, steps: Sequence[LayerAt]) -> tuple[Firing, ...]:
    """Describe the MLP of every layer at one token."""
    strongest = [_strongest(step.activations) for step in steps]
    columns = [
        _columns(reading, layer, indices, step.activations)
        for layer, (step, indices) in enumerate(zip(steps, strongest, strict=True))
    ]
    # The head is by far the largest matrix: the columns of all layers go through it at once.
    words = raw_logits(reading, torch.cat(columns)).topk(min(SHOWN_WORDS, reading.model.vocab_size)).indices
    said = torch.split(words, [len(indices) for indices in strongest])
    return tuple(
        _firing(layer, step.activations.float(), *rest)
        for layer, (step, *rest) in enumerate(zip(steps, strongest, columns, said, strict=True), start=1)
    )


def _strongest(activations: Tensor) -> Tensor:
    return activations.topk(min(SHOWN_NEURONS, int((activations != 0).sum()))).indices


def _firing(layer: int, activations: Tensor, indices: Tensor, columns: Tensor, words: Tensor) -> Firing:
    fired = activations[indices]
    added = columns.float().norm(dim=-1) * fired.abs()
    neurons = zip(indices.tolist(), fired.tolist(), added.tolist(), map(tuple, words.tolist()), strict=True)
    return Firing(
        layer=layer,
        neurons=len(activations),
        zeros=int((activations == 0).sum()),
        strongest=tuple(Neuron(*neuron) for neuron in neurons),
    )


def _columns(reading: Reading, layer: int, indices: Tensor, like: Tensor) -> Tensor:
    """Return what one unit of each neuron adds. Asked of the layer, not of its weights, which may be quantised."""
    ones = torch.zeros(len(indices), len(like), dtype=like.dtype, device=like.device)
    ones[torch.arange(len(indices), device=like.device), indices] = 1
    columns: Tensor = reading.model.model.layers[layer].mlp.fc2(ones)
    return columns
