"""The picture of a model follows from its numbers."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree

import pytest

from nanochat.ui.drawing import drawing
from tests.ui.models import CONFIGS, facts, plan

SVG = "{http://www.w3.org/2000/svg}"


def picture(name: str) -> ElementTree.Element:
    markup = drawing(plan(name))
    return ElementTree.fromstring(markup.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1))


def texts(name: str) -> str:
    return "\n".join(element.text or "" for element in picture(name).iter(f"{SVG}text"))


def with_class(name: str, pattern: str) -> list[ElementTree.Element]:
    return [element for element in picture(name).iter() if re.fullmatch(pattern, element.get("class") or "")]


@pytest.mark.parametrize("name", CONFIGS)
def test_each_head_is_a_square_in_the_colour_of_its_keys_and_values(name: str) -> None:
    squares = with_class(name, r"head-\d")
    assert len(squares) == CONFIGS[name].num_attention_heads
    assert len({square.get("class") for square in squares}) == min(6, CONFIGS[name].num_key_value_heads)


@pytest.mark.parametrize("name", CONFIGS)
def test_one_block_is_open_and_each_other_one_is_a_bar(name: str) -> None:
    assert len(with_class(name, "bar")) == CONFIGS[name].num_hidden_layers - 1
    assert f"Block 1 of {CONFIGS[name].num_hidden_layers}" in texts(name)


@pytest.mark.parametrize("name", CONFIGS)
def test_everything_stays_within_the_picture(name: str) -> None:
    root = picture(name)
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    for box in root.iter(f"{SVG}rect"):
        x, y, w, h = (float(box.attrib[key]) for key in ("x", "y", "width", "height"))
        assert 0 <= x <= x + w <= width
        assert 0 <= y <= y + h <= height
        assert min(w, h) > 0
    for element in root.iter(f"{SVG}text"):
        # A letter of 10.5 pixels is 5.4 wide on average.
        room = width - float(element.attrib["x"]) if element.attrib["text-anchor"] == "start" else width
        assert 5.4 * len(element.text or "") < room + 10


def test_short_bars_are_the_layers_with_a_window() -> None:
    widths = [float(bar.attrib["width"]) for bar in with_class("windows", "bar")]
    short = [width < max(widths) for width in widths]
    assert short == [layer.window_tokens < 2_048 for layer in facts("windows").layers[1:]]
    assert "Short bars see" in texts("windows")
    assert "Short bars" not in texts("grouped")


@pytest.mark.parametrize("name", CONFIGS)
def test_the_hourglass_is_as_wide_as_the_mlp_is_wider_than_the_stream(name: str) -> None:
    fan = with_class(name, "fan")[0]
    xs = [float(point.split(",")[0]) for point in fan.attrib["points"].split()]
    narrow, wide = xs[1] - xs[0], xs[2] - xs[3]
    config = CONFIGS[name]
    assert narrow / wide == pytest.approx(min(1, config.hidden_size / config.intermediate_size), abs=0.01)


def test_the_softcap_is_drawn_where_there_is_one() -> None:
    assert "at most ±15" in texts("grouped")
    assert not with_class("uncapped", "curve")


ADDITIONS = {
    "Smear": "smear",
    "Mix": "residual_lambdas",
    "Value embeddings in": "value_embeddings",
    "Backout": "backout",
}


@pytest.mark.parametrize("name", CONFIGS)
def test_what_the_current_architecture_added_is_named_where_a_model_has_it(name: str) -> None:
    told = {words: bool(re.search(f"^{words}", texts(name), re.MULTILINE)) for words in ADDITIONS}
    assert told == {words: getattr(CONFIGS[name], field) for words, field in ADDITIONS.items()}
    described = picture(name).findtext(f"{SVG}desc") or ""
    for words, field in {"smear": "smear", "residual mix": "residual_lambdas", "backout": "backout"}.items():
        assert (words in described) == getattr(CONFIGS[name], field)


def test_additions_have_the_numbers_of_the_model() -> None:
    # Five layers: the stream is kept after the third, and alternate layers look values up.
    assert "Value embeddings in 3 of 5 blocks" in texts("current")
    assert "takes out the stream after block 3" in texts("current")


@pytest.mark.parametrize("name", CONFIGS)
def test_no_box_of_the_open_block_lies_upon_another(name: str) -> None:
    (frame,), (attention,), (mlp,) = (with_class(name, style) for style in ("frame", "attention", "mlp"))
    edges = []
    for box in (frame, attention, mlp):
        top, height = float(box.attrib["y"]), float(box.attrib["height"])
        edges.append((top, top + height))
    assert edges[0][0] < edges[1][0] < edges[1][1] < edges[2][0] < edges[2][1] < edges[0][1]


def test_the_numbers_of_the_model_are_written_out() -> None:
    words = texts("grouped")
    assert "8,192 tokens, 320 numbers each" in words
    assert "10 heads of 32, 5 for keys and values" in words
    assert "320 → 1,280 → 320" in words
    assert "RMSNorm, relu²" in words
    assert "RMSNorm, silu" in texts("unlike")


def test_a_screen_reader_is_told_what_is_drawn() -> None:
    root = picture("grouped")
    assert root.attrib["role"] == "img"
    assert root.attrib["aria-label"] == "A NanoChat with 8 blocks"
    assert "8 blocks of attention with 10 heads" in (root.findtext(f"{SVG}desc") or "")


def test_no_colour_stands_in_the_markup() -> None:
    """Light and dark are the style sheet's."""
    assert not re.search(r'(fill|stroke|style)="', drawing(plan("windows")))
