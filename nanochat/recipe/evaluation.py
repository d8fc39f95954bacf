"""Everything that is said of a model's quality, from one call: the table, bits a byte, the card."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nanochat.chat.engine import EngineLimits, LocalEngine
from nanochat.chat.template import ChatTemplate
from nanochat.model.modeling_nanochat import NanoChatForCausalLM
from nanochat.recipe.held_out import held_out_questions
from nanochat.recipe.run import validation_texts
from nanochat.recipe.scoring import (
    AT_ONCE,
    Answered,
    Score,
    bits_per_byte,
    count_loops,
    score_questions,
    table_of,
)

VALIDATION_TEXTS = 300


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The scores by subject, bits a byte of validation text, and every answer behind the scores."""

    scores: Sequence[Score]
    bits: float
    told: Sequence[Answered]


def evaluate(model: NanoChatForCausalLM, template: ChatTemplate, corpus: Path) -> Evaluation:
    """Ask all held-out questions of the corpus. Raises RecipeError where the corpus lacks a file."""
    engine = LocalEngine(model, template, EngineLimits(slots=AT_ONCE))
    questions = held_out_questions(corpus)
    told = score_questions(engine, questions)
    texts = validation_texts(corpus)
    chosen = texts[:: max(1, len(texts) // VALIDATION_TEXTS)][:VALIDATION_TEXTS]
    scores = [*table_of(told), count_loops(engine, questions)]
    return Evaluation(scores, bits_per_byte(model, template, chosen), told)
