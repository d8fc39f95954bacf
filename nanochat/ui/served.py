"""The model that a page, its API and its model card speak of: one value, made by serving.py, read by all of them."""

from __future__ import annotations

from dataclasses import dataclass

from nanochat.chat.engine import Engine
from nanochat.chat.template import ChatTemplate
from nanochat.model.checkpoint import Checkpoint
from nanochat.model.facts import ModelFacts


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A loaded model with the engine that answers with it and the facts counted from its weights."""

    engine: Engine
    template: ChatTemplate
    checkpoint: Checkpoint
    facts: ModelFacts
