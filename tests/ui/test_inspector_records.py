"""The inspector's JSON: what the lens found, in a size that does not grow with the text."""

from __future__ import annotations

import json

import pytest

from nanochat import NanoChatForCausalLM
from nanochat.chat.sampling import SamplingSettings
from nanochat.chat.template import ChatTemplate
from nanochat.errors import LensError
from nanochat.lens.look import Lens
from nanochat.ui.inspector_records import inspection
from tests.chat.engines import asked

SETTINGS = SamplingSettings(top_k=5)


@pytest.fixture(scope="module")
def lens(tiny_model: NanoChatForCausalLM) -> Lens:
    return Lens(tiny_model)


def test_an_inspection_is_json_that_says_what_the_lens_found(lens: Lens, tiny_template: ChatTemplate) -> None:
    chat = asked("Who ran?", "The fox ran")
    record = json.loads(json.dumps(inspection(chat, None, SETTINGS, lens, tiny_template, layer=2, head=3)))
    ids = tiny_template.prompt(chat)
    look = lens.look(ids, len(ids) - 1, layer=1, head=3)
    assert (record["position"], record["length"]) == (len(ids) - 1, len(ids))
    assert record["token"]["id"] == ids[-1]
    assert [row["rank"] for row in record["layers"]] == [row.rank for row in look.lens]
    assert record["layers"][-1]["best"][0]["id"] == record["candidates"]["shown"][0]["id"] == int(look.logits.argmax())
    assert record["candidates"]["left"] == 5
    assert (record["match"]["layer"], record["match"]["head"]) == (2, 3)
    for layer, heads in enumerate(record["attention"]):
        for head, told in enumerate(heads):
            assert told["first_token"] == pytest.approx(float(look.attention[layer, head, 0]))
            assert told["most"][0]["weight"] == pytest.approx(float(look.attention[layer, head].max()))


def test_its_size_does_not_grow_with_the_text(lens: Lens, tiny_template: ChatTemplate) -> None:
    short, long = (
        len(json.dumps(inspection(asked("x" * length, "The fox ran"), None, SETTINGS, lens, tiny_template)))
        for length in (110, 220)
    )
    assert long < 1.2 * short


@pytest.mark.parametrize(
    "place",
    [
        {"position": 0},
        {"position": 10_000},
        {"position": -1},
        {"position": "3"},
        {"position": True},
        {"position": 2.5},
        {"position": float("nan")},
        {"position": float("inf")},
        {"position": [3]},
        {"position": 3, "layer": 0},
        {"position": 3, "layer": 3},
        {"position": 3, "head": 4},
        {"position": 3, "head": None},
    ],
    ids=str,
)
def test_what_does_not_exist_is_refused_in_words(
    lens: Lens, tiny_template: ChatTemplate, place: dict[str, object]
) -> None:
    with pytest.raises(LensError):
        inspection(asked("Who ran?", "The fox"), settings=SETTINGS, lens=lens, template=tiny_template, **place)


def test_a_chat_longer_than_the_model_reads_is_refused(lens: Lens, tiny_template: ChatTemplate) -> None:
    with pytest.raises(LensError, match="model reads"):
        inspection(asked("日本語 " * 300, "Yes"), None, SETTINGS, lens, tiny_template)
