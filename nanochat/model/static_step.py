"""A step of decoding in which nothing but numbers changes: one token for each of so many rows, shapes always the same.

What a pass does is usually decided in Python, anew each time: which slot, from where, how far. Here it is all read from
one tensor, so the same operations on the same memory serve every step. That is what a compiler needs to put many of
them into one, and what a GPU needs to do them all at one command instead of waiting for Python between them.

The price: attention looks at a fixed number of places, the wanted ones and others that a mask takes out again. So there
are several reaches, and a step takes the shortest that will do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from nanochat.model.cache import Slot, SlotCache
from nanochat.model.lean import LeanLayer
from nanochat.model.lean_model import LeanModel

# The shortest reach: below it the places too many cost less than another set of shapes.
SHORTEST_REACH = 256
# Every row looks at copies of its keys and values, so many rows would need much memory; and in a pass with so many
# the time is in the numbers, not between the operations.
MOST_ROWS = 16


@dataclass(frozen=True, slots=True)
class _Sight:
    """Where each row finds the keys and values it looks at, (rows, key and value heads, places), and what is not there.

    The mask is minus infinity for a place before the beginning, to be added to what a query makes of its key.
    """

    found: Tensor
    mask: Tensor


class StaticStep:
    """One decoding step over the slots of a cache, all on one device."""

    def __init__(self, lean: LeanModel, cache: SlotCache) -> None:
        self._lean = lean
        self._context = cache.context
        self._tables = lean.tables[lean.start]
        self._window = lean.config.sliding_window
        self._heads = torch.arange(cache.layers[0].shape[1], device=cache.layers[0].device)
        # Each key and each value is one row here: found by one number, as words are in an embedding.
        self._stores = [layer.view(-1, layer.shape[-1]) for layer in cache.layers]

    def logits(self, steps: Tensor, reach: int) -> Tensor:
        """Store what each row's token adds to its slot; return (rows, vocabulary) in float32, on the device.

        steps: as `StepRows` lays them out. reach: no row may stand at or beyond this place.
        """
        ids, previous, slots, places = steps
        everything = self._sight(slots, places, reach)
        near = everything if self._window is None else self._sight(slots, places, min(reach, self._window))
        own = self._rows(slots, places[:, None]).flatten()
        cos, sin = self._tables.cos[places], self._tables.sin[places]

        def gather(layer: LeanLayer, index: int, hidden: Tensor) -> Tensor:
            heads, store, count = layer.look(hidden, ids, cos, sin), self._stores[index], layer.key_heads
            query, pairs = heads[:, : -2 * count], heads[:, -2 * count :]
            store.index_copy_(0, own, pairs.flatten(0, 1).to(store.dtype))
            sight = everything if layer.window is None else near
            seen = F.embedding(sight.found, store)
            # The query heads that share a key head stand in line as if they were more tokens.
            asked = query.view(len(query), count, -1, query.shape[-1]).to(store.dtype)
            keys, values = seen[:, :count], seen[:, count:]
            return F.scaled_dot_product_attention(asked, keys, values, sight.mask, scale=layer.scaling).flatten(1)

        hidden = self._lean.embed(ids)
        if self._lean.smears:
            hidden = self._lean.smeared(hidden, previous, places > 0)
        return self._lean.logits(self._lean.through(hidden, gather))

    def _sight(self, slots: Tensor, places: Tensor, length: int) -> _Sight:
        """Look at the last `length` places up to each row's own.

        What nobody has read yet may hold anything, and not even a mask makes a number of what is none: so a place
        before the beginning is replaced by the first.
        """
        seen = places[:, None] + torch.arange(1 - length, 1, device=places.device)
        mask = torch.zeros_like(seen, dtype=self._stores[0].dtype).masked_fill_(seen < 0, -torch.inf)
        return _Sight(self._rows(slots, seen.clamp(min=0)), mask[:, None, None])

    def _rows(self, slots: Tensor, places: Tensor) -> Tensor:
        """Return where in a store the keys and values of these places are, (rows, heads, places)."""
        first = (slots[:, None] * len(self._heads) + self._heads) * self._context
        return first[:, :, None] + places[:, None]


class StepRows:
    """How live requests are laid out for a step of fixed shapes."""

    def __init__(self, lean: LeanModel, context: int, shortest_reach: int = SHORTEST_REACH) -> None:
        self._even_rows = lean.even_rows
        self._context = context
        self._shortest_reach = shortest_reach

    def of(self, steps: Sequence[tuple[Slot, int]]) -> tuple[Tensor, int]:
        """Return (4, rows): id, the id before it, slot and place of each; and the shortest reach that will do.

        A row too many does once more what the first one does, so that it changes nothing.
        """
        columns = [(token, (slot.ids or [0])[-1], slot.index, len(slot.ids)) for slot, token in steps]
        rows = self._even_rows(_power_of_two(len(columns)))
        columns += [columns[0]] * (rows - len(columns))
        needed = 1 + max(place for *_, place in columns)
        reach = min(self._context, max(self._shortest_reach, _power_of_two(needed)))
        return torch.tensor(columns).T.contiguous(), reach


def _power_of_two(count: int) -> int:
    """Return the smallest power of two that is not below the count."""
    return 1 << (count - 1).bit_length()
