"""Pictures of the way into the layers and out of them follow from the numbers of the model."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nanochat.ui import walk_ends
from nanochat.ui.plan import Sample
from tests.ui.models import CONFIGS, plan
from tests.ui.pictures import outside, points, texts, with_class
from tests.ui.test_walk import quantized


def test_long_and_many_tokens_find_their_place() -> None:
    sentence = tuple(Sample(name, 65_535) for name in (" internationalisation", "\n", " a", *"abcdefghij"))
    for picture in (walk_ends.tokens, walk_ends.next_token, walk_ends.embedding):
        assert not outside(picture(replace(plan("windows"), sentence=sentence)))


def test_each_token_stands_above_its_id() -> None:
    shown = texts(walk_ends.tokens(plan("tiny")))
    for token in plan("tiny").sentence:
        place = shown.index(str(token.id))
        assert shown[place - 1] == token.name.replace(" ", "·")


def test_the_row_of_a_token_is_where_its_id_says() -> None:
    first, last = (replace(plan("tiny"), sentence=(Sample("a", 0), Sample("b", token_id))) for token_id in (0, 383))
    rows = [float(with_class(walk_ends.embedding(model), "choice")[0].attrib["y"]) for model in (first, last)]
    assert rows[0] == pytest.approx(14.5)
    assert rows[1] == pytest.approx(14.5 + 60 * 383 / 384, abs=0.1)


@pytest.mark.parametrize("name", CONFIGS)
def test_there_is_a_box_for_each_layer(name: str) -> None:
    layers = CONFIGS[name].num_hidden_layers
    assert len(with_class(walk_ends.layers(plan(name)), "bar")) == layers
    assert len(with_class(walk_ends.backout(plan(name)), "bar")) == layers


def test_what_is_backed_out_is_tapped_after_the_middle_layer() -> None:
    markup = walk_ends.backout(plan("current"))
    taps = [points(line)[0][0] for line in with_class(markup, "line")]
    boxes = [float(bar.attrib["x"]) for bar in with_class(markup, "bar")]
    # Five layers: the stream is tapped after the third.
    assert boxes[2] < taps[0] < boxes[3]


def test_the_softcap_is_bent_at_the_bound_of_the_model() -> None:
    markup = walk_ends.softcap(plan("grouped"))
    assert {"+15", "−15"} <= set(texts(markup))
    bounds = sorted({y for line in with_class(markup, "bound") for _, y in points(line)[:1]})
    heights = [y for _, y in points(with_class(markup, "curve")[0])]
    assert bounds[0] <= 16 <= min(heights)
    assert max(heights) <= 76


def test_few_bits_are_few_steps() -> None:
    model = quantized(plan("tiny"))
    assert any("256 steps" in text for text in texts(walk_ends.quantized(model)))
    assert not outside(walk_ends.quantized(model))
