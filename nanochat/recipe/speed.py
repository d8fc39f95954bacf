"""How fast the recipe trains, beside the same model trained the usual way; `python -m nanochat bench train`.

The rival is `transformers.NanoChatForCausalLM` under bfloat16 autocast with AdamW, as its documentation trains it. Both
read the same batch in the same process, step by step in turns, so that a machine that slows down slows both. The
recipe's rows hold several documents and so do the rival's: it is given the same positions.

What the recipe saves depends on how long documents are and how many of their tokens have a label. So the batch has the
lengths and the share that the recipe's own rows have, with random ids.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from statistics import median

import numpy as np
import torch
import transformers
from torch import Tensor

from nanochat.model.modeling_nanochat import NanoChatForCausalLM
from nanochat.recipe.documents import attend_within_documents
from nanochat.recipe.optimizers import initialise, optimizers_for
from nanochat.recipe.packing import Batch, Document, batch_of, cut, pack
from nanochat.recipe.plan import Plan, Stage
from nanochat.recipe.training import compiled, training_step

ROUNDS = 7
WARMUP_ROUNDS = 2  # the first of the recipe's steps compiles
# What plan small reads: the mean length of each tenth, from the shortest, and the share that it does not learn to say.
TEXT_TOKENS = (20, 38, 50, 56, 63, 74, 93, 130, 196, 479)
TALK_TOKENS = (19, 24, 29, 35, 42, 49, 57, 72, 107, 244)
UNLABELLED_SHARE = 0.28


@dataclass(frozen=True, slots=True)
class TrainingSpeed:
    """Medians over the rounds: tokens a second of both, and of the ratios round by round."""

    recipe_tokens_per_second: float
    rival_tokens_per_second: float
    ratio: float


def measure_training(plan: Plan, stage: Stage, device: torch.device) -> TrainingSpeed:
    """Train the planned model on one batch of random documents, by the recipe and by the rival in turns."""
    batch = _random_batch(plan, stage, device)
    recipe, rival = _recipe_step(plan, stage, batch, device), _rival_step(plan, batch, device)
    seconds = [(_seconds(recipe), _seconds(rival)) for _ in range(WARMUP_ROUNDS + ROUNDS)]
    counted = seconds[WARMUP_ROUNDS:]
    tokens = batch.ids.numel()
    return TrainingSpeed(
        tokens / median(ours for ours, _ in counted),
        tokens / median(theirs for _, theirs in counted),
        median(theirs / ours for ours, theirs in counted),
    )


def _recipe_step(plan: Plan, stage: Stage, batch: Batch, device: torch.device) -> Callable[[], object]:
    with device:
        model = NanoChatForCausalLM(plan.config(bos_token_id=0, eos_token_id=1))
    attend_within_documents(model)
    initialise(model, plan.seed)
    model.train()
    optimizers, pieces = optimizers_for(model, stage), compiled()
    return lambda: training_step(model, batch, optimizers, 1.0, pieces).item()


def _rival_step(plan: Plan, batch: Batch, device: torch.device) -> Callable[[], object]:
    config = plan.config(bos_token_id=0, eos_token_id=1)
    # Both sides read the same config.json, so one is made from the other.
    rival_config = transformers.NanoChatConfig.from_dict(config.to_dict())
    with device:
        model = transformers.NanoChatForCausalLM(rival_config).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)

    def step() -> object:
        with torch.autocast(device.type, dtype=torch.bfloat16):
            loss: Tensor = model(batch.ids, position_ids=batch.positions, labels=batch.ids, use_cache=False).loss
        torch.autograd.backward(loss)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss.item()

    return step


def _random_batch(plan: Plan, stage: Stage, device: torch.device) -> Batch:
    random = Random(plan.seed)
    talks = stage.name == "finetune"
    documents = [_random_document(plan, random, talks=talks) for _ in range(stage.batch_tokens // 20)]
    rows = (pack if talks else cut)(documents, stage.sequence_length)
    return batch_of(rows, np.arange(stage.batch_rows), device)


def _random_document(plan: Plan, random: Random, *, talks: bool) -> Document:
    length = random.choice(TALK_TOKENS if talks else TEXT_TOKENS)
    unlabelled = int(length * UNLABELLED_SHARE) if talks else 0
    return [random.randrange(plan.vocab_size) for _ in range(length)], [0] * unlabelled + [1] * (length - unlabelled)


def _seconds(step: Callable[[], object]) -> float:
    started = time.perf_counter()
    step()  # ends in .item(), which waits for the device
    return time.perf_counter() - started
