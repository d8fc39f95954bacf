"""The training loop: rows in, a better model out, and nothing lost when it is killed.

One step reads a batch, adds up the loss under bfloat16 autocast, and moves the weights. Every few minutes all that the
next step depends on goes to disk in one piece: weights, both optimizers' memories and the step. The batches depend on
the seed and the step alone, so a run that was killed goes on as if nothing had been.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.optim import Optimizer
from tqdm import tqdm

from nanochat.model.modeling_nanochat import NanoChatForCausalLM
from nanochat.recipe.optimizers import learning_rate_share, optimizers_for
from nanochat.recipe.packing import Batch, Rows, batches
from nanochat.recipe.plan import Stage

LOG_EVERY_STEPS = 10
HEAD_TOKENS = 1_024


@dataclass(frozen=True, slots=True)
class TrainingOptions:
    """How to run, as opposed to what: none of these changes what is learnt."""

    folder: Path
    device: torch.device
    compile: bool = True
    save_every_seconds: float = 180.0
    seed: int = 0


def train(model: NanoChatForCausalLM, rows: Rows, stage: Stage, options: TrainingOptions) -> None:
    """Take the model through one stage, from its last checkpoint in `options.folder` where there is one.

    Writes `<stage>.pt` and appends to `log.jsonl` there: stage, step, tokens, loss in nats a token, tokens a second.
    """
    optimizers = optimizers_for(model, stage)
    first_step = _resume(model, optimizers, stage, options)
    pieces = compiled() if options.compile else plain()
    source = batches(rows, stage.batch_rows, options.seed, first_step, options.device)
    saved_at = time.monotonic()
    model.train()
    if options.compile and first_step < stage.steps:
        tqdm.write(f"Compiling the model for {stage.name}: the first step takes a minute or two.")
    total, initial = stage.steps * stage.batch_tokens, first_step * stage.batch_tokens
    with tqdm(total=total, initial=initial, unit=" tokens", unit_scale=True, desc=stage.name) as bar:
        meter = _Meter(stage, options.folder / "log.jsonl", bar)
        for step in range(first_step, stage.steps):
            loss = training_step(model, next(source), optimizers, learning_rate_share(stage, step), pieces)
            meter.add(step, loss)
            if time.monotonic() - saved_at > options.save_every_seconds:
                _save(model, optimizers, step + 1, stage, options)
                saved_at = time.monotonic()
    _save(model, optimizers, stage.steps, stage, options)
    model.train(False)


@dataclass(frozen=True, slots=True)
class Pieces:
    """The model's two halves, compiled or not: from ids to hidden states, and from those to the sum of losses."""

    hidden: Callable[[NanoChatForCausalLM, Tensor, Tensor], Tensor]
    head_loss: Callable[[NanoChatForCausalLM, Tensor, Tensor], Tensor]


def plain() -> Pieces:
    """Return the halves as they are."""
    return Pieces(_hidden, _head_loss)


def compiled() -> Pieces:
    """Return the halves compiled: the first for batches of one shape, the second for any number of labels."""
    head_loss = torch.compile(_head_loss, dynamic=True, options={"cpp.use_decompose_tanh": True})
    return Pieces(torch.compile(_hidden, dynamic=False), head_loss)


def learn(model: NanoChatForCausalLM, batch: Batch, pieces: Pieces, *, mixed: bool = True) -> Tensor:
    """Return the mean loss in nats over the tokens that have a label, and leave its gradient in every weight.

    Tokens without a label never see the head. The others see it a few at a time: the logits of a whole batch would be
    the largest thing there is, gone from the cache before they are read again. mixed: multiply in bfloat16.
    """
    autocast = torch.autocast(model.device.type, dtype=torch.bfloat16, enabled=mixed)
    with autocast:
        hidden = pieces.hidden(model, batch.ids, batch.positions).index_select(0, batch.labelled)
    parts = [part.requires_grad_() for part in torch.split(hidden.detach(), HEAD_TOKENS)]
    loss = hidden.new_zeros(())
    for part, labels in zip(parts, torch.split(batch.labels, HEAD_TOKENS), strict=True):
        with autocast:
            share = pieces.head_loss(model, part, labels) / len(batch.labels)
        torch.autograd.backward(share)
        loss += share.detach()
    torch.autograd.backward(hidden, torch.cat([part.grad for part in parts if part.grad is not None]))
    return loss


def _hidden(model: NanoChatForCausalLM, ids: Tensor, positions: Tensor) -> Tensor:
    hidden: Tensor = model.model(ids, position_ids=positions, use_cache=False).last_hidden_state
    return hidden.flatten(0, 1)


def _head_loss(model: NanoChatForCausalLM, hidden: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(model.logits(hidden).float(), labels, reduction="sum")


def training_step(
    model: NanoChatForCausalLM,
    batch: Batch,
    optimizers: list[Optimizer],
    rate_share: float,
    pieces: Pieces,
) -> Tensor:
    """Move the weights once, at a share of the peak rates; return the loss, still on its device."""
    loss = learn(model, batch, pieces)
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = group.setdefault("peak_lr", group["lr"]) * rate_share
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return loss


class _Meter:
    """Shows loss and speed, and writes them down every few steps."""

    def __init__(self, stage: Stage, log: Path, bar: tqdm[None]) -> None:
        self._stage, self._log, self._bar = stage, log, bar
        self._losses: list[Tensor] = []
        self._since = time.monotonic()

    def add(self, step: int, loss: Tensor) -> None:
        self._losses.append(loss)
        self._bar.update(self._stage.batch_tokens)
        if len(self._losses) == LOG_EVERY_STEPS or step + 1 == self._stage.steps:
            self._write(step + 1)

    def _write(self, steps: int) -> None:
        # Reading the loss waits for the device, so it is read only here.
        mean = torch.stack(self._losses).mean().item()
        speed = len(self._losses) * self._stage.batch_tokens / (time.monotonic() - self._since)
        self._bar.set_postfix(loss=f"{mean:.3f}")
        tokens = steps * self._stage.batch_tokens
        record = {"stage": self._stage.name, "step": steps, "tokens": tokens, "loss": round(mean, 4)}
        with self._log.open("a") as file:
            file.write(json.dumps({**record, "tokens_per_second": round(speed)}) + "\n")
        self._losses, self._since = [], time.monotonic()


def _checkpoint_path(stage: Stage, options: TrainingOptions) -> Path:
    return options.folder / f"{stage.name}.pt"


def _save(
    model: NanoChatForCausalLM, optimizers: list[Optimizer], step: int, stage: Stage, options: TrainingOptions
) -> None:
    path = _checkpoint_path(stage, options)
    state = {"step": step, "model": model.state_dict(), "optimizers": [each.state_dict() for each in optimizers]}
    # Written beside and moved over: a kill in between leaves the old checkpoint whole.
    unfinished = path.with_suffix(".part")
    torch.save(state, unfinished)
    unfinished.replace(path)


def _resume(model: NanoChatForCausalLM, optimizers: list[Optimizer], stage: Stage, options: TrainingOptions) -> int:
    path = _checkpoint_path(stage, options)
    if not path.exists():
        return 0
    state = torch.load(path, weights_only=True, map_location=options.device)
    model.load_state_dict(state["model"])
    for optimizer, memory in zip(optimizers, state["optimizers"], strict=True):
        optimizer.load_state_dict(memory)
    return int(state["step"])
