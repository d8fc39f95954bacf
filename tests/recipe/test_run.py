"""The recipe from a small corpus to a model that loads, and goes on after a kill without doing anything twice."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch

from nanochat.chat.conversation import Conversation
from nanochat.chat.engine import LocalEngine
from nanochat.chat.events import Done
from nanochat.chat.sampling import SamplingSettings
from nanochat.chat.template import ChatTemplate
from nanochat.errors import RecipeError
from nanochat.model.checkpoint import load_checkpoint
from nanochat.recipe.card import model_card, spent
from nanochat.recipe.checks import contains
from nanochat.recipe.held_out import Question
from nanochat.recipe.plan import Plan, Stage
from nanochat.recipe.run import Run, run_recipe, validation_texts
from nanochat.recipe.scoring import Answered, Score
from nanochat.recipe.training import TrainingOptions
from tests.recipe.small_corpus import write_small_corpus

PLAN = Plan(
    hidden_size=16,
    num_hidden_layers=1,
    num_attention_heads=2,
    vocab_size=400,
    max_position_embeddings=128,
    conversation_scale=0.001,
    pretrain=Stage("pretrain", tokens=1_024, sequence_length=32, batch_tokens=128),
    finetune=Stage("finetune", tokens=1_024, sequence_length=64, batch_tokens=128),
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    corpus = write_small_corpus(tmp_path_factory.mktemp("corpus"))
    options = TrainingOptions(tmp_path_factory.mktemp("run"), torch.device("cpu"), compile=False, seed=PLAN.seed)
    return Run(PLAN, corpus, options)


@pytest.fixture(scope="module")
def finished(run: Run) -> Path:
    return run_recipe(run)


def test_what_the_recipe_writes_loads_and_answers(finished: Path) -> None:
    checkpoint = load_checkpoint(str(finished))
    engine = LocalEngine(checkpoint.model, ChatTemplate(checkpoint.tokenizer.backend_tokenizer))
    asked = Conversation.from_messages([{"role": "user", "content": "What is the capital of France?"}])
    last = list(engine.stream(asked, SamplingSettings(max_tokens=8, seed=1)))[-1]
    assert isinstance(last, Done)


def test_no_digits_are_merged(finished: Path) -> None:
    tokenizer = load_checkpoint(str(finished)).tokenizer
    assert len(tokenizer.encode("1234567890", add_special_tokens=False)) == 10


def test_a_finished_run_is_not_run_again(run: Run, finished: Path) -> None:
    log = (run.folder / "log.jsonl").read_text()
    weights = (finished / "model.safetensors").read_bytes()
    run_recipe(run)
    assert (run.folder / "log.jsonl").read_text() == log
    assert (finished / "model.safetensors").read_bytes() == weights


def test_the_curve_shows_both_stages(finished: Path) -> None:
    lines = list(ElementTree.parse(finished / "loss.svg").iter("{http://www.w3.org/2000/svg}polyline"))
    assert len(lines) == 2


def test_validation_texts_are_not_trained_on(run: Run) -> None:
    assert validation_texts(run.corpus)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"simple-wikipedia\.jsonl\.bz2|tiny-stories\.jsonl\.bz2"):
        run_recipe(Run(PLAN, tmp_path, TrainingOptions(tmp_path / "run", torch.device("cpu"))))


def test_the_card_is_filled_in_from_the_run(run: Run, finished: Path) -> None:
    model = load_checkpoint(str(finished)).model
    question = Question("capitals", ({"role": "user", "content": "And Peru?"},), lambda answer: 1.0, "Lima")
    told = [Answered(question, "Lima.\nIt is Lima.", contains("Lima.", "Lima"))] * 45
    card = model_card(model, spent(run.folder / "log.jsonl"), [Score("capitals", 3.0, 4)], 1.25, told)
    assert "$" not in card
    assert "| capitals | 3 / 4 | 75% |" in card
    assert "| pretrain | 1,024 |" in card
    assert "1.250 bits a byte" in card
    assert card.count("**assistant**: Lima. It is Lima.") == 20
    # Quantized, as it is scored on a processor, it has the parameters it was trained with.
    rounded = load_checkpoint(str(finished), quantize="int8").model
    assert model_card(rounded, spent(run.folder / "log.jsonl"), [Score("capitals", 3.0, 4)], 1.25, told) == card
