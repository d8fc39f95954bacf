"""The logits an answer was chosen from, kept while it is made.

Probabilities shown beside an answer must be those it was drawn from, and a curve that follows the temperature slider
needs all logits, not the best five. So they are copied as the engine hands them over, one row for each token, in
float32 and on the CPU: the newest rows up to a bound, since a vocabulary of 65,000 takes 260 kB a token.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from typing import Generic, TypeVar

from torch import Tensor

T = TypeVar("T")

# 500 tokens of a vocabulary of 8,192; 60 of 65,536.
TRACE_BYTES = 16_000_000
SHELF_BYTES = 256_000_000


class Trace:
    """The engine's `Capture`: the ids of one answer, and the logits of its newest tokens."""

    def __init__(self, most_bytes: int = TRACE_BYTES) -> None:
        self.ids: list[int] = []
        self._rows: deque[Tensor] = deque()
        self._most_bytes = most_bytes
        self.size_bytes = 0
        # The engine adds a token in one thread while a click asks for another in a second one.
        self._changed = threading.Lock()

    def token(self, token_id: int, logits: Tensor) -> None:
        """Keep a copy of what the engine chose from; the oldest copies make room."""
        row = logits.detach().float().cpu().clone()
        with self._changed:
            self._rows.append(row)
            self.ids.append(token_id)
            self.size_bytes += row.nbytes
            while self.size_bytes > self._most_bytes:
                self.size_bytes -= self._rows.popleft().nbytes

    def logits(self, place: int) -> Tensor | None:
        """Return the logits that the token at `place` of the answer was chosen from; None if they are not kept."""
        with self._changed:
            kept_from = len(self.ids) - len(self._rows)
            return self._rows[place - kept_from] if kept_from <= place < len(self.ids) else None


class Shelf(Generic[T]):
    """The latest thing of each visitor, by a key; what was unused longest makes room for the rest."""

    def __init__(self, most_bytes: int = SHELF_BYTES) -> None:
        self._most_bytes = most_bytes
        self._kept: OrderedDict[str, tuple[T, int]] = OrderedDict()
        self._size_bytes = 0
        self._changed = threading.Lock()

    def put(self, key: str, thing: T, size_bytes: int) -> None:
        """Keep a thing under a key, in place of what was there. A thing that is too large is kept alone."""
        with self._changed:
            self._size_bytes += size_bytes - self._kept.pop(key, (thing, 0))[1]
            self._kept[key] = (thing, size_bytes)
            while len(self._kept) > 1 and self._size_bytes > self._most_bytes:
                self._size_bytes -= self._kept.popitem(last=False)[1][1]

    def get(self, key: str) -> T | None:
        """Return a thing, or None when it has made room for others."""
        with self._changed:
            if key not in self._kept:
                return None
            self._kept.move_to_end(key)
            return self._kept[key][0]
