"""Everything that is said of a model's quality, from one call: the table, bits a byte, the card."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nanochat.chat.engine import EngineLimits, LocalEngine
from nanochat.chat.template import ChatTemplate
from nanochat.model.checkpoint import load_checkpoint
from nanochat.model.facts import facts_of
from nanochat.model.modeling_nanochat import NanoChatForCausalLM
from nanochat.model.threads import apart
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
    engine = apart(LocalEngine)(model, template, EngineLimits(slots=AT_ONCE))
    questions = held_out_questions(corpus)
    told = score_questions(engine, questions)
    scores = [*table_of(told), count_loops(engine, questions)]
    return Evaluation(scores, bits_per_byte(model, template, _scored_texts(corpus)), told)


@dataclass(frozen=True, slots=True)
class Loss:
    """What rounding the matrices costs: bits a byte of the same text, and the bytes of the model, before and after."""

    quantization: str
    bits: float
    quantized_bits: float
    size_bytes: int
    quantized_bytes: int

    def __str__(self) -> str:
        more = self.quantized_bits / self.bits - 1
        return (
            f"{self.quantization}: {self.quantized_bits:.4f} bits a byte, bfloat16 {self.bits:.4f} ({more:+.2%}); "
            f"{self.quantized_bytes / 1e6:,.1f} MB instead of {self.size_bytes / 1e6:,.1f}."
        )


def quantization_loss(source: str, corpus: Path, quantization: str) -> Loss:
    """Score a model in bfloat16 and quantized, one after the other, on the processor. Raises CheckpointError."""
    texts = _scored_texts(corpus)
    bits: list[float] = []
    sizes: list[int] = []
    told = ""
    for name in ("none", quantization):
        checkpoint = load_checkpoint(source, device="cpu", dtype="bfloat16", quantize=name)
        facts, template = facts_of(checkpoint.model), ChatTemplate(checkpoint.tokenizer.backend_tokenizer)
        bits.append(bits_per_byte(checkpoint.model, template, texts))
        sizes.append(facts.size_bytes)
        told = facts.quantized
    return Loss(told, bits[0], bits[1], sizes[0], sizes[1])


def _scored_texts(corpus: Path) -> Sequence[str]:
    texts = validation_texts(corpus)
    return texts[:: max(1, len(texts) // VALIDATION_TEXTS)][:VALIDATION_TEXTS]
