"""The line at the top: whose model it speaks of, and when there is something to choose or to try again."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest

from nanochat.errors import CheckpointError
from nanochat.ui.model_line import ModelLine
from nanochat.ui.models import Models
from nanochat.ui.served import ServedModel
from tests.ui.awaiting import built
from tests.ui.test_model_card import served

SOMEBODY = SimpleNamespace(session_hash="somebody")


def refused(progress: object, make_room: object) -> ServedModel:
    raise CheckpointError("The Hub refused.")


def line_of(**loads: Any) -> tuple[ModelLine, Models[ServedModel]]:
    models: Models[ServedModel] = Models(loads)

    def draw() -> ModelLine:
        with gr.Blocks():
            return ModelLine(models)

    return built(draw), models


def looked(line: ModelLine) -> dict[str, Any]:
    status, retry, clock, card = line._look(SOMEBODY)
    return {"status": status, "retry": retry.visible, "watching": clock.active, "card": card}


def test_a_single_model_is_nothing_to_choose() -> None:
    line, _ = line_of(a=lambda *_: served("tiny"))
    assert line.choice is None


def test_each_visitor_sees_the_model_they_chose() -> None:
    line, models = line_of(a=lambda *_: served("tiny"), b=lambda *_: served("deep", source="karpathy/nanochat-d32"))
    models.start()
    models.loaded()
    assert line.choice is not None
    assert [name for name, _ in line.choice.choices] == ["a", "b"]
    assert "the embedded model" in looked(line)["status"]
    line._choose("b", SOMEBODY)
    models.loaded("somebody")
    assert "karpathy/nanochat-d32" in looked(line)["status"]
    assert "karpathy/nanochat-d32" in looked(line)["card"]
    assert line._chosen(SOMEBODY) == "b"
    assert "the embedded model" in line._look(SimpleNamespace(session_hash="else"))[0]


def test_a_failed_load_can_be_tried_again() -> None:
    outcomes = [refused, lambda *_: served("tiny")]
    line, models = line_of(a=lambda *arguments: outcomes.pop(0)(*arguments))
    models.start()
    assert models.wait(10)
    assert looked(line) == {"status": looked(line)["status"], "retry": True, "watching": False, "card": gr.skip()}
    assert "The Hub refused.<" in looked(line)["status"]
    assert line._again(SOMEBODY).active
    models.loaded()
    assert not looked(line)["retry"]


def test_on_zerogpu_there_is_nothing_to_try_again_but_a_restart() -> None:
    """A load outside the main thread is not seen by the workers that answer."""
    line, models = line_of(a=refused)
    models.load_here()
    assert not looked(line)["retry"]
    assert "The Hub refused. Restart the Space to try again.<" in looked(line)["status"]


def test_a_dropped_model_is_loaded_again_when_the_page_is_opened_and_not_before() -> None:
    loads = []
    line, models = line_of(a=lambda *_: loads.append(1) or served("tiny"))
    models.start()
    models.loaded()
    models._loaders["a"].drop()
    now = looked(line)
    assert "made room" in now["status"]
    assert (now["retry"], now["watching"]) == (False, False)
    assert len(loads) == 1
    line._open(SOMEBODY)
    models.loaded()
    assert len(loads) == 2


@pytest.mark.parametrize("name", ["c", None])
def test_a_choice_that_is_not_on_offer_is_refused(name: Any) -> None:
    line, models = line_of(a=lambda *_: served("tiny"), b=lambda *_: served("deep"))
    with pytest.raises(gr.Error, match="model must be a or b"):
        line._choose(name, SOMEBODY)
    assert models.chosen("somebody") == "a"
