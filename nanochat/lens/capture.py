"""The logits an answer was chosen from, kept while it is made.

Probabilities shown beside an answer must be those it was drawn from, and a curve that follows the temperature slider
needs all logits, not the best five. So they are copied as the engine hands them over, one row for each token, in
float32 and on the CPU: the newest rows up to a bound, since a vocabulary of 65,000 takes 260 kB a token.
"""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict, deque

from torch import Tensor

# 500 tokens of a vocabulary of 4,096; 120 of 65,536.
TRACE_BYTES = 8_000_000 * 4
SHELF_BYTES = 256_000_000


class Trace:
    """The engine's `Capture`: the ids of one answer, and the logits of its newest tokens."""

    def __init__(self, most_bytes: int = TRACE_BYTES) -> None:
        self.ids: list[int] = []
        self._rows: deque[Tensor] = deque()
        self._most_bytes = most_bytes
        self.size_bytes = 0

    def token(self, token_id: int, logits: Tensor) -> None:
        """Keep a copy of what the engine chose from; the oldest copies make room."""
        row = logits.detach().float().cpu().clone()
        self._rows.append(row)
        self.ids.append(token_id)
        self.size_bytes += row.nbytes
        while self.size_bytes > self._most_bytes:
            self.size_bytes -= self._rows.popleft().nbytes

    def logits(self, place: int) -> Tensor | None:
        """Return the logits that the token at `place` of the answer was chosen from; None if they are not kept."""
        kept_from = len(self.ids) - len(self._rows)
        return self._rows[place - kept_from] if kept_from <= place < len(self.ids) else None


class Shelf:
    """The latest traces of all visitors, under keys that cannot be guessed; the longest unused make room."""

    def __init__(self, most_bytes: int = SHELF_BYTES) -> None:
        self._most_bytes = most_bytes
        self._traces: OrderedDict[str, Trace] = OrderedDict()
        self._changed = threading.Lock()

    def put(self, trace: Trace) -> str:
        """Keep a trace and return its key."""
        key = secrets.token_urlsafe(12)
        with self._changed:
            self._traces[key] = trace
            while len(self._traces) > 1 and sum(kept.size_bytes for kept in self._traces.values()) > self._most_bytes:
                self._traces.popitem(last=False)
        return key

    def get(self, key: str) -> Trace | None:
        """Return a trace, or None when it has made room for others."""
        with self._changed:
            if key in self._traces:
                self._traces.move_to_end(key)
            return self._traces.get(key)
