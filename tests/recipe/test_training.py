"""The loop learns, and a killed run ends with the weights of one that was not."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from nanochat import NanoChatConfig, NanoChatForCausalLM
from nanochat.recipe import training
from nanochat.recipe.documents import attend_within_documents
from nanochat.recipe.optimizers import initialise, learning_rate_share, optimizers_for
from nanochat.recipe.packing import Batch, Rows, batch_of, batches, cut, pack
from nanochat.recipe.plan import Stage
from nanochat.recipe.training import TrainingOptions, train

STAGE = Stage(
    "pretrain",
    tokens=8_192,
    sequence_length=16,
    batch_tokens=128,
    warmup_steps=4,
    matrix_learning_rate=0.03,
    head_learning_rate=0.03,
)


@pytest.fixture(scope="module")
def rows() -> Rows:
    text = [1, 5, 9, 7, 3, 8, 2, 6, 4, 10, 11, 12]
    return cut([(text, [1] * len(text)) for _ in range(200)], STAGE.sequence_length)


# Everything that the architecture of today adds; its gates read 24 channels of the stream.
CURRENT = {
    "hidden_size": 32,
    "num_hidden_layers": 4,
    "padded_vocab_size": 24,
    "qk_scale": 1.2,
    "window_pattern": "SL",
    "sliding_window": 8,
    "value_embeddings": True,
    "residual_lambdas": True,
    "smear": True,
    "backout": True,
}
ARCHITECTURES = pytest.mark.parametrize("additions", [{}, CURRENT], ids=["classic", "current"])


def small_model(**additions: Any) -> NanoChatForCausalLM:
    sizes: dict[str, Any] = {
        "vocab_size": 16,
        "hidden_size": 16,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "max_position_embeddings": 32,
        "pad_token_id": None,
    }
    config = NanoChatConfig(**(sizes | additions))
    model = NanoChatForCausalLM(config)
    model.set_attn_implementation("eager")
    initialise(model, seed=3)
    return model


def options(folder: Path, **changed: float) -> TrainingOptions:
    return TrainingOptions(folder, torch.device("cpu"), compile=False, seed=5, **changed)


@ARCHITECTURES
def test_a_new_model_has_no_opinion(additions: dict[str, Any]) -> None:
    logits = small_model(**additions)(torch.randint(0, 16, (2, 8))).logits
    assert logits.abs().max() < 0.05


@pytest.mark.parametrize(("additions", "first_loss"), [({}, 1.5), (CURRENT, 1.0)], ids=["classic", "current"])
def test_training_learns_a_text_by_heart(
    rows: Rows, tmp_path: Path, additions: dict[str, Any], first_loss: float
) -> None:
    train(small_model(**additions), rows, STAGE, options(tmp_path))
    losses = [json.loads(line)["loss"] for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert losses[0] > first_loss
    assert losses[-1] < 0.3


@ARCHITECTURES
def test_a_killed_run_ends_where_an_unbroken_one_does(
    rows: Rows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, additions: dict[str, Any]
) -> None:
    unbroken, killed, resumed = (small_model(**additions) for _ in range(3))
    (tmp_path / "unbroken").mkdir()
    (tmp_path / "killed").mkdir()
    train(unbroken, rows, STAGE, options(tmp_path / "unbroken"))

    # A source that runs dry in the middle of the stage stands for the kill; every step before was saved.
    def cut_short(*arguments: object) -> object:
        return islice(batches(*arguments), 13)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(training, "batches", cut_short)
        with pytest.raises(StopIteration):
            train(killed, rows, STAGE, options(tmp_path / "killed", save_every_seconds=0.0))
    train(resumed, rows, STAGE, options(tmp_path / "killed"))
    for name, weight in resumed.state_dict().items():
        torch.testing.assert_close(weight, unbroken.state_dict()[name], atol=0, rtol=0, msg=name)


def test_the_loss_is_that_of_the_model_itself(tiny_model: NanoChatForCausalLM) -> None:
    ids = torch.randint(0, 300, (2, 12))
    batch = Batch(ids[:, :-1], torch.arange(11).expand(2, -1), torch.arange(22), ids[:, 1:].flatten())
    made = training.learn(tiny_model, batch, training.plain(), mixed=False)
    torch.testing.assert_close(made, tiny_model(ids, labels=ids).loss.detach())
    tiny_model.zero_grad(set_to_none=True)


@ARCHITECTURES
def test_a_step_of_the_recipe_is_a_step_of_the_plain_model(
    monkeypatch: pytest.MonkeyPatch, additions: dict[str, Any]
) -> None:
    """Documents apart, tokens without a label left out before the head: the same loss and the same gradients."""
    documents = [(list(range(length)), [place % 3 for place in range(length)]) for length in (9, 5, 12, 3, 14, 6)]
    rows = pack(documents, length=24)
    batch = batch_of(rows, np.arange(len(rows)), torch.device("cpu"))
    plain, ours = small_model(**additions), small_model(**additions)
    for model in (plain, ours):
        for weight in model.parameters():
            torch.nn.init.normal_(weight, std=0.3, generator=torch.Generator().manual_seed(weight.numel()))
    attend_within_documents(ours)
    logits = plain(batch.ids, position_ids=batch.positions, use_cache=False).logits
    expected = F.cross_entropy(logits.flatten(0, 1), torch.from_numpy(rows.labels).long().flatten())
    # Fewer at a time than there are, and not a divisor.
    monkeypatch.setattr(training, "HEAD_TOKENS", 7)
    made = training.learn(ours, batch, training.plain(), mixed=False)
    torch.testing.assert_close(made, expected.detach())
    torch.autograd.backward(expected)
    gradients = {name: weight.grad for name, weight in plain.named_parameters()}
    for name, weight in ours.named_parameters():
        torch.testing.assert_close(weight.grad, gradients[name], atol=1e-6, rtol=1e-4, msg=name)


@ARCHITECTURES
def test_every_weight_is_moved_by_exactly_one_optimizer(additions: dict[str, Any]) -> None:
    model = small_model(**additions)
    moved = [id(w) for each in optimizers_for(model, STAGE) for group in each.param_groups for w in group["params"]]
    assert sorted(moved) == sorted(id(weight) for weight in model.parameters())


@ARCHITECTURES
def test_three_steps_move_every_weight(rows: Rows, additions: dict[str, Any]) -> None:
    """Not the first alone: what writes into the stream starts at zero, and what feeds it has no gradient until then."""
    model = small_model(**additions)
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    optimizers = optimizers_for(model, STAGE)
    for batch in islice(batches(rows, STAGE.batch_rows, 5, 0, torch.device("cpu")), 3):
        training.training_step(model, batch, optimizers, 1.0, training.plain())
    still = [name for name, weight in model.named_parameters() if torch.equal(weight, before[name])]
    assert not still


def test_tables_and_numbers_of_today_move_at_rates_of_their_own() -> None:
    """The original's rates where the embedding's is 0.2; matrices, gates among them, are Muon's."""
    model = small_model(**CURRENT)
    muon, adam = optimizers_for(model, replace(STAGE, embedding_learning_rate=0.2))
    names = {id(weight): name for name, weight in model.named_parameters()}
    rates = {names[id(weight)]: group["lr"] for group in adam.param_groups for weight in group["params"]}
    layers = range(CURRENT["num_hidden_layers"])
    assert rates == {
        "model.embed_tokens.weight": 0.2,
        "lm_head.weight": STAGE.head_learning_rate,
        **{f"model.layers.{index}.self_attn.value_embedding.table.weight": 0.1 for index in (1, 3)},
        **{f"model.layers.{index}.residual_mix.stream": pytest.approx(0.005) for index in layers},
        **{f"model.layers.{index}.residual_mix.start": 0.5 for index in layers},
        **dict.fromkeys(("model.smear.gate.weight", "model.smear.scale", "model.backout.scale"), 0.2),
    }
    matrices = {names[id(weight)] for group in muon.param_groups for weight in group["params"]}
    assert "model.layers.3.self_attn.value_embedding.gate.weight" in matrices
    assert all(weight.ndim == 2 for group in muon.param_groups for weight in group["params"])


def test_the_additions_of_today_start_where_the_original_starts_them() -> None:
    model = small_model(**CURRENT)
    layers = model.model.layers
    mixes = [(layer.residual_mix.stream.item(), layer.residual_mix.start.item()) for layer in layers]
    assert mixes[0] == pytest.approx((1.15, 0.20))
    assert mixes[1] == pytest.approx((1.15 - 0.10 / 3, 0.15))
    assert mixes[3] == pytest.approx((1.05, 0.05))
    assert model.model.smear.scale.item() == 0
    assert model.model.backout.scale.item() == pytest.approx(0.2)
    spread = (3 / 32) ** 0.5
    for weight, lowest, highest in (
        (model.model.smear.gate.weight, 0, 0.02),
        (layers[3].self_attn.value_embedding.gate.weight, 0, 0.02),
        (layers[3].self_attn.value_embedding.table.weight, -spread, spread),
        (layers[0].mlp.fc1.weight, -0.4 * spread, 0.4 * spread),
    ):
        assert lowest <= weight.min() < weight.max() <= highest
        assert weight.max() - weight.min() > 0.7 * (highest - lowest)


@pytest.mark.parametrize(
    ("step", "share"), [(0, 0.1), (4, 0.5), (9, 1.0), (50, 1.0), (60, 1.0), (80, 0.5), (96, 0.1), (99, 0.1)]
)
def test_the_learning_rate_rises_stays_and_falls(step: int, share: float) -> None:
    stage = Stage("x", tokens=100, sequence_length=1, batch_tokens=1, warmup_steps=10, cooldown_share=0.4)
    assert learning_rate_share(stage, step) == pytest.approx(share)
