"""The model that a page, its API and its model card speak of: one value, made by serving.py, read by all of them."""

from __future__ import annotations

from dataclasses import dataclass

from nanochat.chat.engine import Engine
from nanochat.chat.template import ChatTemplate
from nanochat.lens.observed import ObservedEngine
from nanochat.model.checkpoint import Checkpoint
from nanochat.model.facts import ModelFacts


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A loaded model with the engine that answers with it and the facts counted from its weights.

    cache_bytes: keys and values of all slots when they are full.
    """

    engine: Engine
    template: ChatTemplate
    checkpoint: Checkpoint
    facts: ModelFacts
    cache_bytes: int = 0

    @property
    def size_bytes(self) -> int:
        """Memory that the model takes while it is loaded."""
        return self.facts.size_bytes + self.cache_bytes

    @property
    def answering(self) -> bool:
        """Whether an answer is made here now, or waits to be."""
        return isinstance(self.engine, ObservedEngine) and self.engine.engine.live_requests > 0
