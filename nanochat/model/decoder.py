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
from nanochat.model.fast_step import Stepping, fast_step
from nanochat.model.lean import LeanLayer
from nanochat.model.lean_model import LeanModel
from nanochat.model.modeling_nanochat import NanoChatForCausalLM


@dataclass(frozen=True, slots=True)
class Segment:
    """Ids that follow what a slot has read; logits are wanted after the last `kept` of them."""

    slot: Slot
    ids: tuple[int, ...]
    kept: int = 1


class SlotDecoder:
    """Reads segments into the slots of a cache. The model stays where it is now."""

    def __init__(self, model: NanoChatForCausalLM, cache: SlotCache, stepping: Stepping = "recorded") -> None:
        """`stepping`: how passes go in which each segment is one id; see `Stepping`."""
        self.cache = cache
        self._lean = LeanModel(model, cache.context)
        self._fast = fast_step(model, self._lean, cache, stepping)

    @torch.inference_mode()
    def read(self, segments: Sequence[Segment]) -> list[Tensor]:
        """Append each segment to its slot; return logits in float32 on the CPU, (kept, vocabulary) for each.

        The slots must differ and have room. When this raises, they remember what they did before.
        """
        logits = None
        if self._fast is not None and all(len(one.ids) == one.kept == 1 for one in segments):
            logits = self._fast.read([(one.slot, one.ids[0]) for one in segments])
        if logits is None:
            logits = self._read(segments)
        for segment in segments:
            segment.slot.ids.extend(segment.ids)
        return logits

    @torch.inference_mode()
    def prepare(self) -> None:
        """Do now what only first steps have to do, before anything is read; a compiler takes its time."""
        if self._fast is not None:
            self._fast.prepare(self.cache.slots)

    def _read(self, segments: Sequence[Segment]) -> list[Tensor]:
        tokens = sum(len(segment.ids) for segment in segments)
        padding = self._lean.even_rows(tokens) - tokens
        lookups = {place: self._lookups(segments, padding, place) for place in self._lean.tables}
        hidden = self._lean.embed(lookups[self._lean.start].ids)
        if self._lean.smears:
            hidden = self._smear(hidden, segments, padding)

        def gather(layer: LeanLayer, index: int, hidden: Tensor) -> Tensor:
            here = lookups[layer.device]
            return self._attend(layer, index, layer.look(hidden, here.ids, here.cos, here.sin), here.views)

        return self._logits(self._lean.through(hidden, gather), segments)

    def _lookups(self, segments: Sequence[Segment], padding: int, device: torch.device) -> _Lookups:
        views = _views(segments, self._lean.config.sliding_window, device)
        ids = [*(token for segment in segments for token in segment.ids), *[0] * padding]
        positions = [*(place for view in views for place in range(view.past, view.end)), *[0] * padding]
        # One segment stands in one stretch of the tables, which need not be gathered.
        rows = (
            slice(views[0].past, views[0].end) if len(ids) == views[0].last else torch.tensor(positions, device=device)
        )
        tables = self._lean.tables[device]
        return _Lookups(torch.tensor(ids, device=device), tables.cos[rows], tables.sin[rows], views)

    def _smear(self, embedded: Tensor, segments: Sequence[Segment], padding: int) -> Tensor:
        """Add to each token a share of the one before, which the slot knows by its id; the first of all has none."""
        previous = [token for one in segments for token in (*(one.slot.ids[-1:] or [0]), *one.ids[:-1])]
        follows = [bool(one.slot.ids) or place > 0 for one in segments for place in range(len(one.ids))]
        start = self._lean.start
        return self._lean.smeared(
            embedded,
            torch.tensor([*previous, *[0] * padding], device=start),
            torch.tensor([*follows, *[False] * padding], device=start),
        )

    def _attend(self, layer: LeanLayer, index: int, heads: Tensor, views: Sequence[_View]) -> Tensor:
        """Store keys and values in the slots and return what each token gathers, (tokens, heads * head_dim)."""
        count = layer.key_heads
        query, pairs = heads[:, : -2 * count], heads[:, -2 * count :]
        query = query.view(len(query), count, -1, query.shape[-1])
        store = self.cache.layers[index]
        gathered = []
        for view in views:
            row = store[view.slot : view.slot + 1]
            row[0, :, view.past : view.end] = pairs[view.first : view.last].transpose(0, 1)
            sight = view.all if layer.window is None else view.near
            seen = row[:, :, sight.start : view.end]
            asked = query[view.first : view.last].to(store.dtype)
            if is_long := view.last - view.first > 1:
                # The query heads that share a key head stand in line as if they were more tokens.
                asked = asked.permute(1, 2, 0, 3).flatten(1, 2)[None]
            mask = None if sight.mask is None else sight.mask.repeat(query.shape[2], 1)
            found = F.scaled_dot_product_attention(asked, seen[:, :count], seen[:, count:], mask, scale=layer.scaling)
            if is_long:
                found = found[0].view(count, query.shape[2], -1, query.shape[3]).permute(2, 0, 1, 3)
            gathered.append(found.reshape(view.last - view.first, -1))
        if views[-1].last < heads.shape[0]:
            gathered.append(store.new_zeros(heads.shape[0] - views[-1].last, gathered[0].shape[1]))
        return gathered[0] if len(gathered) == 1 else torch.cat(gathered)

    def _logits(self, hidden: Tensor, segments: Sequence[Segment]) -> list[Tensor]:
        ends = accumulate(len(segment.ids) for segment in segments)
        places = [end - left for one, end in zip(segments, ends, strict=True) for left in range(one.kept, 0, -1)]
        if len(places) != len(hidden):
            rows = self._lean.even_rows(len(places))
            chosen = torch.tensor([*places, *[0] * (rows - len(places))], device=self._lean.end)
            hidden = hidden[chosen] if rows else hidden[:0]
        logits = self._lean.logits(hidden, len(places))
        # The one moment of a step in which a GPU is waited for: everything after works on what lies here.
        return list(torch.split(logits.cpu(), [segment.kept for segment in segments]))


@dataclass(frozen=True, slots=True)
class _Sight:
    """What the tokens of a segment look at: keys from `start` on, and of those, by the mask, not all tokens all."""

    start: int
    mask: Tensor | None


@dataclass(frozen=True, slots=True)
class _View:
    """Where a segment stands: its tokens in the pass, its place in the slot, and what its tokens look at."""

    slot: int
    first: int
    last: int
    past: int
    end: int
    all: _Sight
    near: _Sight


@dataclass(frozen=True, slots=True)
class _Lookups:
    """What the layers on one device look up in a pass."""

    ids: Tensor
    cos: Tensor
    sin: Tensor
    views: list[_View]


def _views(segments: Sequence[Segment], window: int | None, device: torch.device) -> list[_View]:
    views = []
    first = 0
    for segment in segments:
        length, past = len(segment.ids), len(segment.slot.ids)
        everything = _sight(length, 0, past, None, device)
        near = everything if window is None else _sight(length, max(0, past + 1 - window), past, window, device)
        views.append(_View(segment.slot.index, first, first + length, past, past + length, everything, near))
        first += length
    return views


def _sight(length: int, start: int, past: int, window: int | None, device: torch.device) -> _Sight:
    if length == 1:  # one token alone may look at everything that is there
        return _Sight(start, None)
    keys = torch.arange(start, past + length, device=device)
    positions = torch.arange(past, past + length, device=device)[:, None]
    mask = keys <= positions
    return _Sight(start, mask if window is None else mask & (keys > positions - window))
