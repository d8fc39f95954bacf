"""Models of both architectures and a decoder whose steps have fixed shapes, for the tests of such steps."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from nanochat import NanoChatForCausalLM
from nanochat.model.cache import SlotCache
from nanochat.model.decoder import Segment, SlotDecoder
from nanochat.model.fast_step import FastStep
from nanochat.model.quantization import quantize
from nanochat.model.recorded import Step
from nanochat.model.static_step import StaticStep, StepRows
from tests.model.test_current_architecture import make

CONTEXT = 64
# Short enough for a context of 64 to have four: 8, 16, 32 and 64.
REACH = 8
PLAIN = {
    "padded_vocab_size": None,
    "window_pattern": "L",
    "sliding_window": None,
    "value_embeddings": False,
    "residual_lambdas": False,
    "smear": False,
    "backout": False,
}
KINDS = ["classic", "current", "all see all", "current in int8"]
each_kind = pytest.mark.parametrize("kind", KINDS)


def model_of(kind: str) -> NanoChatForCausalLM:
    changes = {"classic": PLAIN, "all see all": {"window_pattern": "L", "sliding_window": None}}
    model = make(**changes.get(kind, {}))
    if kind.endswith("int8"):
        quantize(model, "int8")
    return model


def decoder_of(model: NanoChatForCausalLM, slots: int = 8, holding: float = torch.nan) -> SlotDecoder:
    """A decoder as it always was, over slots that hold anything but what was read into them."""
    cache = SlotCache(model.config, slots, CONTEXT, dtype=torch.float32, device=model.device)
    for layer in cache.layers:
        layer.fill_(holding)
    return SlotDecoder(model, cache, "eager")


def with_steps(decoder: SlotDecoder, wrapped: Callable[[Step], Step] = lambda step: step) -> SlotDecoder:
    """The same with steps of fixed shapes, or with what `wrapped` makes of them."""
    step = wrapped(StaticStep(decoder._lean, decoder.cache).logits)
    decoder._fast = FastStep(step, StepRows(decoder._lean, CONTEXT, REACH))
    return decoder


def counted(calls: list[tuple[int, int]]) -> Callable[[Step], Step]:
    """Note rows and reach of each step that is made."""

    def wrapped(step: Step) -> Step:
        def counting(steps: Tensor, reach: int) -> Tensor:
            calls.append((steps.shape[1], reach))
            return step(steps, reach)

        return counting

    return wrapped


def ids_of(length: int, seed: int) -> tuple[int, ...]:
    return tuple(random.Random(seed).choices(range(200), k=length))


def fill(decoder: SlotDecoder, lengths: dict[int, int]) -> None:
    """Read so many ids into these slots, in one pass; none where the length is 0."""
    slots = decoder.cache.slots
    if read := [Segment(slots[place], ids_of(length, place)) for place, length in lengths.items() if length]:
        decoder.read(read)


def write(decoder: SlotDecoder, places: tuple[int, ...], token: int = 7) -> Tensor:
    """Decode one id for each of these slots, in this order: logits, (slots, vocabulary)."""
    return torch.cat(decoder.read([Segment(decoder.cache.slots[place], (token + place,)) for place in places]))
