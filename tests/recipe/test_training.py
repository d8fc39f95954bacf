"""The loop learns, and a killed run ends with the weights of one that was not."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path

import pytest
import torch

from nanochat import NanoChatConfig, NanoChatForCausalLM
from nanochat.recipe import training
from nanochat.recipe.optimizers import initialise, learning_rate_share, optimizers_for
from nanochat.recipe.packing import Batch, Rows, batches, cut
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


def small_model() -> NanoChatForCausalLM:
    config = NanoChatConfig(
        vocab_size=16,
        hidden_size=16,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=32,
        pad_token_id=None,
    )
    model = NanoChatForCausalLM(config)
    model.set_attn_implementation("eager")
    initialise(model, seed=3)
    return model


def options(folder: Path, **changed: float) -> TrainingOptions:
    return TrainingOptions(folder, torch.device("cpu"), compile=False, seed=5, **changed)


def test_a_new_model_has_no_opinion() -> None:
    logits = small_model()(torch.randint(0, 16, (2, 8))).logits
    assert logits.abs().max() < 0.05


def test_training_learns_a_text_by_heart(rows: Rows, tmp_path: Path) -> None:
    train(small_model(), rows, STAGE, options(tmp_path))
    losses = [json.loads(line)["loss"] for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert losses[0] > 1.5
    assert losses[-1] < 0.3


def test_a_killed_run_ends_where_an_unbroken_one_does(
    rows: Rows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unbroken, killed, resumed = small_model(), small_model(), small_model()
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
    batch = Batch(ids[:, :-1], ids[:, 1:], torch.arange(11).expand(2, -1))
    with torch.inference_mode():
        torch.testing.assert_close(training.mean_loss(tiny_model, batch), tiny_model(ids, labels=ids).loss)


def test_every_weight_is_moved_by_exactly_one_optimizer() -> None:
    model = small_model()
    moved = [id(w) for each in optimizers_for(model, STAGE) for group in each.param_groups for w in group["params"]]
    assert sorted(moved) == sorted(id(weight) for weight in model.parameters())


@pytest.mark.parametrize(
    ("step", "share"), [(0, 0.1), (4, 0.5), (9, 1.0), (50, 1.0), (60, 1.0), (80, 0.5), (96, 0.1), (99, 0.1)]
)
def test_the_learning_rate_rises_stays_and_falls(step: int, share: float) -> None:
    stage = Stage("x", tokens=100, sequence_length=1, batch_tokens=1, warmup_steps=10, cooldown_share=0.4)
    assert learning_rate_share(stage, step) == pytest.approx(share)
