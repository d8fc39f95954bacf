"""A bench small enough for tests: the tiny model from a folder, and random weights of a tiny shape."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from nanochat.bench.subjects import Shape
from nanochat.bench.trial import Trial, prepare


def silent(_: str) -> None:
    pass


@pytest.fixture(scope="session")
def tiny_shape(tiny_checkpoint: Path) -> Shape:
    return Shape(
        "tiny",
        str(tiny_checkpoint),
        answer_tokens=6,
        crowd_tokens=3,
        chat_tokens=160,
        rival_types=(torch.float32, torch.bfloat16),
    )


@pytest.fixture(scope="session")
def random_shape() -> Shape:
    """Wider than it needs to be for a matrix to fit the kernels of int4."""
    return Shape(
        "random", hidden_size=64, layers=2, heads=2, vocabulary=4_160, answer_tokens=6, crowd_tokens=3, chat_tokens=160
    )


@pytest.fixture(scope="session")
def trial(tiny_shape: Shape) -> Trial:
    return prepare(tiny_shape, "cpu", 1, silent)


@pytest.fixture(scope="session")
def random_trial(random_shape: Shape) -> Trial:
    return prepare(random_shape, "cpu", 1, silent)
