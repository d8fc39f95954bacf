"""Everything there is to see about one token: how the model, having read what stands before it, came to choose it.

A `Lens` belongs to one model and remembers the texts it read last, so the second click on an answer needs no new pass.
Looking changes nothing and uses nothing of the engine's: many may look while others are answered.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nanochat.errors import LensError
from nanochat.lens.arithmetic import Match, Softcap, match, softcap
from nanochat.lens.layers import LensRow, Shares, decided_after, lens_rows, lens_scores, shares
from nanochat.lens.neurons import Firing, firings
from nanochat.lens.reading import Reading, attention_at, layer_at, pattern_of, read, softcapped
from nanochat.model.modeling_nanochat import NanoChatForCausalLM
from nanochat.model.threads import apart

# A d20 keeps 154 kB for each token it reads: its whole context fits in this, or many long chats of the embedded model.
REMEMBERED_BYTES = 320_000_000
# So many tokens can still be told apart in a drawing as wide as the narrowest column.
PATTERN_TOKENS = 64


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """What led to the token at `position`: all of it computed at the token before, where the choice was made.

    logits: (vocabulary,), softcapped. attention: (layers, heads, position), each row a sum of one.
    pattern: how the one head worked through divided its attention for that token and those before it, PATTERN_TOKENS at
    most: (tokens, position), the last row being the token's own.
    decided_after: after so many layers the chosen token was the best guess and stayed it; None if it never was.
    """

    position: int
    chosen_id: int
    logits: Tensor
    lens: tuple[LensRow, ...]
    decided_after: int | None
    shares: tuple[Shares, ...]
    attention: Tensor
    pattern: Tensor
    firings: tuple[Firing, ...]
    softcap: Softcap
    match: Match


class Lens:
    """Looks into one model. Safe to use from many threads at once."""

    def __init__(self, model: NanoChatForCausalLM, remembered_bytes: int = REMEMBERED_BYTES) -> None:
        self._model = model
        self._remembered_bytes = remembered_bytes
        self._readings: OrderedDict[tuple[int, ...], Reading] = OrderedDict()
        self._changed = threading.Lock()
        # One text is read at a time: many readers would share the same cores, and slow the answers down.
        self._turn = threading.Lock()

    @apart
    def look(self, ids: Sequence[int], position: int, *, layer: int = 0, head: int = 0) -> Look:
        """Return how the token at `position` of a text was chosen; `layer` and `head`, from 0, are worked through.

        Raises LensError for a text the model cannot read and for a token, layer or head that does not exist.
        """
        text = tuple(ids)
        self._check(text, position, layer, head)
        return look_into(self._reading(text), position, layer=layer, head=head)

    def _check(self, ids: tuple[int, ...], position: int, layer: int, head: int) -> None:
        config = self._model.config
        if len(ids) > config.max_position_embeddings:
            raise LensError(f"The text has {len(ids)} tokens but the model reads {config.max_position_embeddings}.")
        if not all(0 <= token_id < config.vocab_size for token_id in ids):
            raise LensError(f"The text holds a token that the model does not have: ids run to {config.vocab_size - 1}.")
        if not 1 <= position < len(ids):
            raise LensError(f"There is no chosen token at {position}: positions run from 1 to {len(ids) - 1}.")
        if not (0 <= layer < config.num_hidden_layers and 0 <= head < config.num_attention_heads):
            raise LensError(
                f"There is no such layer or head: the model has {config.num_hidden_layers} layers "
                f"of {config.num_attention_heads} heads."
            )

    def _reading(self, ids: tuple[int, ...]) -> Reading:
        reading = self._remembered(ids)
        if reading is not None:
            return reading
        with self._turn:
            reading = self._remembered(ids) or read(self._model, ids)
            with self._changed:
                self._readings[ids] = reading
                while sum(kept.size_bytes for kept in self._readings.values()) > self._remembered_bytes:
                    self._readings.popitem(last=False)
        return reading

    def _remembered(self, ids: tuple[int, ...]) -> Reading | None:
        with self._changed:
            if ids in self._readings:
                self._readings.move_to_end(ids)
            return self._readings.get(ids)


@torch.inference_mode()
def look_into(reading: Reading, position: int, *, layer: int = 0, head: int = 0) -> Look:
    """Return how the token at `position` was chosen, from 1 to the last token of what was read."""
    place, chosen_id = position - 1, reading.ids[position]
    steps = [layer_at(reading, index, place) for index in range(len(reading.layers))]
    scores, cap = lens_scores(reading, steps, place), reading.model.config.final_logit_softcapping
    logits = softcapped(scores, cap)
    rows = lens_rows(logits, chosen_id)
    return Look(
        position=position,
        chosen_id=chosen_id,
        logits=logits[-1],
        lens=rows,
        decided_after=decided_after(rows),
        shares=tuple(shares(step, number) for number, step in enumerate(steps, start=1)),
        attention=torch.stack([attention_at(reading, index, place) for index in range(len(steps))]),
        pattern=pattern_of(reading, layer, head, slice(max(0, position - PATTERN_TOKENS), position)),
        firings=firings(reading, steps),
        softcap=softcap(scores[-1], cap, chosen_id),
        match=match(reading, place, layer, head),
    )
