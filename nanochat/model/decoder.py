"""The model's step over slots: some tokens of several conversations in one pass, each seeing only its own past.

Norms, linear maps and the MLP treat every token alone, so the tokens of all conversations are laid end to end and go
through them together, and each weight is read from memory once for all. Attention is the only place where tokens meet;
there each conversation is handled for itself, with the keys and values of its slot.

Reading a prompt and writing an answer are one operation: a `Segment` of many ids reads, a segment of one id writes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor
from torch.nn import functional as F

from nanochat.model.cache import Slot, SlotCache
from nanochat.model.modeling_nanochat import NanoChatAttention, NanoChatForCausalLM, rotate


@dataclass(frozen=True, slots=True)
class Segment:
    """Ids that follow what a slot has read; logits are wanted after the last `kept` of them."""

    slot: Slot
    ids: tuple[int, ...]
    kept: int = 1


class SlotDecoder:
    """Reads segments into the slots of a cache."""

    def __init__(self, model: NanoChatForCausalLM, cache: SlotCache) -> None:
        self.cache = cache
        self._model = model
        self._device = model.device
        positions = torch.arange(cache.context, device=self._device)[None]
        self._rope = model.model.rotary_emb(cache.keys[0], positions)
        self._window = model.config.sliding_window

    @torch.inference_mode()
    def read(self, segments: Sequence[Segment]) -> list[Tensor]:
        """Append each segment to its slot; return logits in float32, (kept, vocabulary) for each segment.

        The slots must differ and have room. When this raises, they remember what they did before.
        """
        trunk = self._model.model
        ids = torch.tensor([[token for segment in segments for token in segment.ids]], device=self._device)
        views = _views(segments, self._window, self._device)
        positions = torch.cat([view.positions for view in views])
        rope = (self._rope[0][:, positions], self._rope[1][:, positions])
        hidden = trunk.norm(trunk.embed_tokens(ids))
        if trunk.smear is not None:
            hidden = trunk.smear(hidden, self._previous_embeddings(segments))
        start = halfway = hidden
        for index, layer in enumerate(trunk.layers):
            if layer.residual_mix is not None:
                hidden = layer.residual_mix(hidden, start)
            normed = layer.input_layernorm(hidden)
            hidden = hidden + self._attend(layer.self_attn, index, normed, ids, rope, views)
            hidden = hidden + layer.mlp(layer.post_attention_layernorm(hidden))
            if index == len(trunk.layers) // 2:
                halfway = hidden
        if trunk.backout is not None:
            hidden = trunk.backout(hidden, halfway)
        logits = self._logits(hidden[0], segments)
        for segment in segments:
            segment.slot.ids.extend(segment.ids)
        return logits

    def _previous_embeddings(self, segments: Sequence[Segment]) -> Tensor:
        """Return the embedding of the token before each, zeros for the first of a conversation. Slots know the ids."""
        trunk = self._model.model
        previous = [token for one in segments for token in (*(one.slot.ids[-1:] or [0]), *one.ids[:-1])]
        follows = [bool(one.slot.ids) or place > 0 for one in segments for place in range(len(one.ids))]
        embedded: Tensor = trunk.norm(trunk.embed_tokens(torch.tensor([previous], device=self._device)))
        return embedded * torch.tensor(follows, device=self._device)[:, None]

    def _attend(
        self,
        attention: NanoChatAttention,
        layer: int,
        hidden: Tensor,
        ids: Tensor,
        rope: tuple[Tensor, Tensor],
        views: Sequence[_View],
    ) -> Tensor:
        heads_last = (1, hidden.shape[1], -1, attention.head_dim)
        query = attention.q_norm(rotate(attention.q_proj(hidden).view(heads_last).transpose(1, 2), *rope))
        key = attention.k_norm(rotate(attention.k_proj(hidden).view(heads_last).transpose(1, 2), *rope))
        value = attention.v_proj(hidden).view(heads_last).transpose(1, 2)
        if attention.value_embedding is not None:
            value = value + attention.value_embedding(ids, hidden)
        keys, values = self.cache.keys[layer], self.cache.values[layer]
        gathered = []
        for view in views:
            row = slice(view.slot, view.slot + 1)
            sight = view.all if attention.sliding_window is None else view.near
            keys[row, :, view.past : view.end] = key[:, :, view.tokens]
            values[row, :, view.past : view.end] = value[:, :, view.tokens]
            gathered.append(
                F.scaled_dot_product_attention(
                    query[:, :, view.tokens],
                    keys[row, :, sight.start : view.end],
                    values[row, :, sight.start : view.end],
                    attn_mask=sight.mask,
                    scale=attention.scaling,
                    enable_gqa=attention.num_key_value_groups > 1,
                )
            )
        joined = torch.cat(gathered, dim=2).transpose(1, 2).reshape(1, hidden.shape[1], -1)
        mixed: Tensor = attention.o_proj(joined)
        return mixed

    def _logits(self, hidden: Tensor, segments: Sequence[Segment]) -> list[Tensor]:
        ends = accumulate(len(segment.ids) for segment in segments)
        kept = [hidden[end - segment.kept : end] for segment, end in zip(segments, ends, strict=True)]
        logits = self._model.logits(self._model.model.norm(torch.cat(kept))).float()
        return list(torch.split(logits, [segment.kept for segment in segments]))


@dataclass(frozen=True, slots=True)
class _Sight:
    """What the tokens of a segment look at: keys from `start` on, and of those, by the mask, not all tokens all."""

    start: int
    mask: Tensor | None


@dataclass(frozen=True, slots=True)
class _View:
    """Where a segment stands: its tokens in the pass, its place in the slot, and what its tokens look at."""

    slot: int
    tokens: slice
    past: int
    end: int
    positions: Tensor
    all: _Sight
    near: _Sight


def _views(segments: Sequence[Segment], window: int | None, device: torch.device) -> list[_View]:
    views = []
    first = 0
    for segment in segments:
        length, past = len(segment.ids), len(segment.slot.ids)
        positions = torch.arange(past, past + length, device=device)
        everything = _sight(positions, 0, past, None)
        near = everything if window is None else _sight(positions, max(0, past + 1 - window), past, window)
        tokens = slice(first, first + length)
        views.append(_View(segment.slot.index, tokens, past, past + length, positions, everything, near))
        first += length
    return views


def _sight(positions: Tensor, start: int, past: int, window: int | None) -> _Sight:
    length = positions.shape[0]
    if length == 1:  # one token alone may look at everything that is there
        return _Sight(start, None)
    keys = torch.arange(start, past + length, device=positions.device)
    mask = keys <= positions[:, None]
    return _Sight(start, mask if window is None else mask & (keys > positions[:, None] - window))
