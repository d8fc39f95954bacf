"""The model card: what the model is, what made it, what it scored, and what it says, unpicked.

The words stand in card.md. Every number comes from the run: sizes from the loaded weights, tokens and losses from the
log, points from the scoring.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template

from nanochat.model.facts import facts_of
from nanochat.model.modeling_nanochat import NanoChatForCausalLM
from nanochat.recipe.scoring import Answered, Score, markdown_table

TRANSCRIPTS = 20


@dataclass(frozen=True, slots=True)
class Spent:
    """What one stage of training read, and the loss it ended with in nats a token."""

    stage: str
    tokens: int
    loss: float


def spent(log: Path) -> list[Spent]:
    """Read each stage's last record from a run's `log.jsonl`."""
    last: dict[str, Spent] = {}
    for line in log.read_text().splitlines():
        record = json.loads(line)
        last[record["stage"]] = Spent(record["stage"], record["tokens"], record["loss"])
    return list(last.values())


def model_card(
    model: NanoChatForCausalLM, stages: Sequence[Spent], scores: Sequence[Score], bits: float, told: Sequence[Answered]
) -> str:
    """Fill the card in. `bits`: bits a byte of validation text; `told`: all held-out answers, in order."""
    transcripts = told[:: max(1, len(told) // TRANSCRIPTS)][:TRANSCRIPTS]
    config = model.config
    return Template(Path(__file__).with_name("card.md").read_text()).substitute(
        parameters=f"{facts_of(model).parameters / 1e6:.1f}",
        layers=config.num_hidden_layers,
        width=config.hidden_size,
        vocabulary=f"{config.vocab_size:,}",
        context=f"{config.max_position_embeddings:,}",
        stages=_stage_table(stages),
        scores=markdown_table(scores),
        bits=f"{bits:.3f}",
        count=len(transcripts),
        transcripts="\n\n".join(map(_transcript, transcripts)),
    )


def _stage_table(stages: Sequence[Spent]) -> str:
    rows = [f"| {stage.stage} | {stage.tokens:,} | {stage.loss:.3f} |" for stage in stages]
    return "\n".join(["| stage | tokens read | last loss (nats a token) |", "|---|---|---|", *rows])


def _transcript(answered: Answered) -> str:
    lines = [f"**{message['role']}**: {message['content']}" for message in answered.question.messages]
    spoken = answered.answer.replace("\n", " ")
    return "> " + "  \n> ".join([*lines, f"**assistant**: {spoken}"])
