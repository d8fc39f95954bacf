"""The verbs of the recipe as somebody types them, each in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from nanochat.recipe.command import plan_named
from nanochat.recipe.plan import PLANS


def nanochat(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "nanochat", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)


def test_training_without_a_corpus_says_what_is_missing(tmp_path: Path) -> None:
    done = nanochat("train", "--corpus", str(tmp_path), "--output", str(tmp_path / "run"))
    assert done.returncode == 1
    assert "give the folder that holds it" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_unknown_plan_is_refused_with_the_known_ones_named(tmp_path: Path) -> None:
    done = nanochat("train", "--corpus", str(tmp_path), "--plan", "huge")
    assert done.returncode == 1
    assert done.stderr.strip() == "There is no plan of this name: the plans are full, small, tiny."


@pytest.mark.parametrize("name", sorted(PLANS))
def test_each_plan_fits_the_space_and_reads_a_thousand_tokens(name: str) -> None:
    plan = plan_named(name)
    blocks = plan.num_hidden_layers * 12 * plan.hidden_size**2
    size_bytes = 2 * (blocks + 2 * plan.vocab_size * plan.hidden_size)
    assert size_bytes <= 34e6
    assert plan.max_position_embeddings >= 1_024


def test_what_is_embedded_is_one_of_the_plans() -> None:
    config = json.loads((Path(__file__).parents[2] / "nanochat/pretrained/config.json").read_text())
    shapes = [(plan.hidden_size, plan.num_hidden_layers, plan.vocab_size) for plan in PLANS.values()]
    assert (config["hidden_size"], config["num_hidden_layers"], config["vocab_size"]) in shapes
