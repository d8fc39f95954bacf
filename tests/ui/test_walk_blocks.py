"""Pictures of a layer follow from the numbers of the model."""

from __future__ import annotations

import math

import pytest

from nanochat.ui import walk_blocks
from tests.ui.models import CONFIGS, facts, plan
from tests.ui.pictures import outside, points, texts, with_class


def test_there_is_a_square_for_each_head_of_queries_keys_and_values() -> None:
    assert len(with_class(walk_blocks.projections(plan("grouped")), r"head-\d")) == 10 + 5 + 5
    assert len(with_class(walk_blocks.joined_heads(plan("grouped")), r"head-\d")) == 10


def test_layers_with_a_value_embedding_are_filled() -> None:
    squares = with_class(walk_blocks.value_layers(plan("current")), "choice|step")
    filled = [square.get("class") == "choice" for square in squares]
    assert filled == [layer.value_embedding for layer in facts("current").layers]


def test_a_pair_turns_as_often_as_its_frequency_says() -> None:
    """Of pair i of m the angle from one position to the next is base to the power of -i/m."""
    assert walk_blocks.frequency(plan("grouped"), 0) == 1
    assert walk_blocks.frequency(plan("grouped"), 8) == pytest.approx(0.01)
    assert walk_blocks.frequency(plan("current"), 3) == pytest.approx(100_000**-0.5)
    assert "6 tokens" in texts(walk_blocks.dials(plan("grouped")))
    assert f"{2 * math.pi * 100:,.0f} tokens" in texts(walk_blocks.dials(plan("grouped")))


def test_hands_are_of_one_length_after_the_norm() -> None:
    hands = [points(hand) for hand in with_class(walk_blocks.same_size(plan("current")), "line") if len(hand) == 0]
    lengths = [math.dist(*hand) for hand in hands if hand[0] == (255, 44)]
    assert len(lengths) == 5
    assert lengths == pytest.approx([36] * 5, abs=0.1)
    assert "each of size 1.2" in texts(walk_blocks.same_size(plan("current")))


def test_a_token_sees_itself_and_those_before() -> None:
    count = len(plan("tiny").sentence[:8])
    markup = walk_blocks.triangle(plan("tiny"))
    assert len(with_class(markup, "seen")) == count * (count + 1) // 2
    assert len(with_class(markup, "unseen")) == count * (count - 1) // 2
    for cell in with_class(markup, "seen"):
        assert float(cell.attrib["x"]) - 122 <= float(cell.attrib["y"]) - 6


@pytest.mark.parametrize("name", ["current", "windows"])
def test_bars_are_as_long_as_their_layer_sees(name: str) -> None:
    markup = walk_blocks.reaches(plan(name))
    assert not outside(markup)
    widths = [float(bar.attrib["width"]) for bar in with_class(markup, "bar|choice")]
    seen = [layer.window_tokens / facts(name).context_tokens for layer in facts(name).layers]
    assert widths == pytest.approx([250 * share for share in seen], abs=0.1)


@pytest.mark.parametrize("name", CONFIGS)
def test_the_hourglass_is_as_wide_as_the_mlp_is_wider_than_the_stream(name: str) -> None:
    (_, top), (_, wide_top), (_, wide_bottom), (_, bottom) = points(with_class(walk_blocks.mlp(plan(name)), "fan")[0])
    config = CONFIGS[name]
    share = min(1, config.hidden_size / config.intermediate_size)
    assert (bottom - top) / (wide_bottom - wide_top) == pytest.approx(share, abs=0.01)


def test_the_curve_is_the_one_the_model_has() -> None:
    relu2 = dict(walk_blocks.curve("relu2"))
    assert relu2[273 - 54] == 70
    assert relu2[273 + 54] == pytest.approx(10)
    # The square of one is a quarter of the square of two.
    middle = min(relu2, key=lambda x: abs(x - 300))
    assert relu2[middle] == pytest.approx(70 - 15, abs=0.1)
    assert max(y for _, y in walk_blocks.curve("silu")) > 70
