"""Real models from settings: one answers, makes room for another, and its memory is free."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path

import pytest

from nanochat.chat.events import Done
from nanochat.chat.zerogpu import GPULender
from nanochat.errors import SettingsError
from nanochat.settings import Settings
from nanochat.ui.serving import offered
from tests.chat.engines import GREEDY, asked


@pytest.fixture
def settings(tiny_checkpoint: Path) -> Settings:
    return Settings(model=str(tiny_checkpoint), models=f"One={tiny_checkpoint},Two={tiny_checkpoint}", slots=1)


def test_a_dropped_model_that_has_answered_leaves_nothing_behind(settings: Settings) -> None:
    models = offered(settings, GPULender())
    served = models.loaded()
    assert served.size_bytes == served.facts.size_bytes + served.cache_bytes > served.facts.size_bytes
    answer = served.engine.stream(asked("Hello"), GREEDY, session="somebody")
    next(answer)
    assert served.answering
    assert any(isinstance(event, Done) for event in answer)
    assert not served.answering
    weights = weakref.ref(served.checkpoint.model.model.embed_tokens.weight)
    del served, answer
    models._loaders["One"].drop()
    gc.collect()
    assert weights() is None


def test_several_models_are_refused_where_gpus_are_lent(settings: Settings) -> None:
    lender = GPULender()
    lender.lends = True
    with pytest.raises(SettingsError, match="ZeroGPU takes one only"):
        offered(settings, lender)
