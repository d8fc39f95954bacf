"""The way of a token has the parts that the model has, with its shapes and its numbers."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from typing import Literal

import pytest
import torch

from nanochat import NanoChatForCausalLM
from nanochat.model.facts import TensorFacts, facts_of
from nanochat.model.quantization import quantize
from nanochat.ui.parameter_tree import shape_text, tree
from nanochat.ui.plan import Plan
from nanochat.ui.walk import ENTRANCE, EXIT, FOLDER, LAYER, Part, parts, shapes_html, walk_html
from nanochat.ui.walk_words import flows
from tests.ui.models import CONFIGS, plan, weightless
from tests.ui.pictures import outside, read

CLASSIC = [
    "tokens", "embedding", "norm", "first_norm", "projections", "rope", "qk_norm", "attention", "output", "second_norm",
    "mlp", "addition", "layers", "last_norm", "head", "softcap", "probabilities", "next_token",
]  # fmt: skip
CURRENT = [
    "tokens", "embedding", "norm", "smear", "residual_mix", "first_norm", "projections", "value_embedding", "rope",
    "qk_norm", "attention", "windows", "output", "second_norm", "mlp", "addition", "layers", "backout", "last_norm",
    "head", "softcap", "probabilities", "next_token",
]  # fmt: skip


def passed(model: Plan) -> list[Part]:
    return [part for stage in parts(model).values() for part in stage]


def names(model: Plan) -> list[str]:
    return [part.name for part in passed(model)]


def walk(name: str) -> ElementTree.Element:
    return ElementTree.fromstring(f"<div>{walk_html(plan(name))}</div>")


def text(element: ElementTree.Element) -> str:
    return " ".join("".join(element.itertext()).split())


def quantized(model: Plan) -> Plan:
    """The plan of the same model with its head in int8."""
    head = next(tensor for tensor in model.facts.tensors if tensor.name == "lm_head.weight")
    rows, columns = head.shape
    kept = (
        TensorFacts("lm_head.numbers", head.shape, "int8", rows * columns, rows * columns),
        TensorFacts("lm_head.scales", (rows,), "float32", 0, 4 * rows),
    )
    tensors = tuple(tensor for tensor in model.facts.tensors if tensor is not head) + kept
    return replace(model, facts=replace(model.facts, tensors=tensors))


@pytest.mark.parametrize("name", CONFIGS)
def test_everything_stays_within_its_picture(name: str) -> None:
    for part in passed(plan(name)):
        markup = part.draw(plan(name))
        assert not outside(markup), part.name
        assert read(markup).get("aria-label"), part.name


def test_a_classic_model_is_passed_in_the_order_of_its_forward_pass() -> None:
    assert names(plan("grouped")) == CLASSIC


def test_a_current_model_has_each_of_its_additions_in_its_place() -> None:
    assert names(plan("current")) == CURRENT


def test_a_model_unlike_others_gets_the_parts_it_has() -> None:
    found = names(plan("unlike"))
    assert "mlp_other" in found
    assert "mlp" not in found
    assert "head_tied" in found
    assert "softcap" not in names(plan("uncapped"))
    assert names(quantized(plan("tiny")))[-1] == "quantized"


@pytest.mark.parametrize("name", CONFIGS)
def test_every_tensor_belongs_to_one_part(name: str) -> None:
    for tensor in plan(name).facts.tensors:
        owners = [part.name for part in passed(plan(name)) if part.owns(tensor)]
        assert len(owners) == 1, f"{tensor.name} is shown in {owners or 'no part'}"


@pytest.mark.parametrize("name", CONFIGS)
def test_the_shapes_shown_are_those_of_the_weights(name: str) -> None:
    shown = {
        item
        for part in passed(plan(name))
        for item in re.findall(r"<code>([^<]+)</code> ([^<,]+(?:,\d+[^<,]*)*)", shapes_html(part, plan(name), ""))
    }
    there = {
        (re.sub(r"^(model\.)?(layers\.\d+\.)?(self_attn\.|mlp\.)?", "", key), f"{shape_text(tensor.shape)} float32")
        for key, tensor in weightless(name).named_parameters()
    }
    assert shown == there, f"only shown: {shown - there}; not shown: {there - shown}"


def test_equal_tensors_of_many_layers_are_shown_once_and_counted() -> None:
    projections = next(part for part in LAYER if part.name == "projections")
    html = shapes_html(projections, plan("grouped"), "")
    assert "<code>q_proj.weight</code> 320 × 320 float32, 8 times" in html
    assert "<code>k_proj.weight</code> 160 × 320 float32, 8 times" in html
    # A single layer has each of them once.
    assert "times" not in shapes_html(projections, plan("tiny"), "")


def test_a_quantized_model_shows_what_lies_in_memory() -> None:
    model = quantized(plan("tiny"))
    head = next(part for part in EXIT if part.name == "head")
    html = shapes_html(head, model, "")
    assert "<code>lm_head.numbers</code> 384 × 32 int8" in html
    assert "<code>lm_head.scales</code> 384 float32" in html
    assert "8 bits each" in walk_html(model)


@pytest.mark.parametrize(("kind", "bits"), [("int8", "8 bits each"), ("int4", "4 bits each")])
def test_each_kind_of_quantized_model_gets_its_own_walk(kind: Literal["int8", "int4"], bits: str) -> None:
    torch.manual_seed(0)
    model = NanoChatForCausalLM(CONFIGS["tiny"])
    before = facts_of(model)
    quantize(model, kind)
    facts = facts_of(model)
    there = replace(plan("tiny"), facts=facts)
    assert tree(facts.tensors).parameters == before.parameters
    assert tree(facts.tensors).size_bytes == facts.size_bytes < before.size_bytes
    assert all(sum(part.owns(tensor) for part in passed(there)) == 1 for tensor in facts.tensors)
    html = walk_html(there)
    assert bits in html
    assert ("the middles" in html) == (kind == "int4")
    ElementTree.fromstring(f"<div>{html}</div>")


@pytest.mark.parametrize("name", CONFIGS)
def test_each_part_has_two_sentences_a_formula_a_drawing_and_its_shapes(name: str) -> None:
    for item in walk(name).iter("li"):
        if not item.get("id"):
            continue
        words = text(item.find("p"))  # type: ignore[arg-type]
        sentences = re.split(r"(?<=[.!])\s+(?=[A-Z])", words)
        assert len(sentences) == 2, f"{item.get('id')}: {sentences}"
        for there in ("h3", "svg", "math", "ul[@class='shapes']"):
            assert item.find(f".//{there}") is not None, f"{item.get('id')} has no {there}"


@pytest.mark.parametrize("name", CONFIGS)
def test_formulas_are_well_formed_and_made_of_mathml_alone(name: str) -> None:
    scripts = {"msub": 2, "msup": 2, "munder": 2, "msubsup": 3, "munderover": 3, "mfrac": 2}
    known = {"math", "mrow", "mi", "mn", "mo", "mtext", "mspace", "msqrt", "mtable", "mtr", "mtd", *scripts}
    formulas = list(walk(name).iter("math"))
    assert len(formulas) >= len(passed(plan(name)))
    for formula in formulas:
        assert {element.tag for element in formula.iter()} <= known
        assert text(formula)
    # Of these MathML wants exactly so many parts.
    for tag, count in scripts.items():
        for element in walk(name).iter(tag):
            assert len(element) == count, ElementTree.tostring(element)


@pytest.mark.parametrize("name", CONFIGS)
def test_parts_are_numbered_through_under_three_stages(name: str) -> None:
    root = walk(name)
    lists = [element for element in root if element.tag == "ol"]
    starts = [int(element.attrib["start"]) for element in lists]
    lengths = [len(element) for element in lists]
    assert starts == [1, 1 + lengths[0], 1 + lengths[0] + lengths[1]]
    layers = CONFIGS[name].num_hidden_layers
    title = "In the layer" if layers == 1 else f"In each of the {layers} layers"
    assert [text(element) for element in root if element.tag == "h2"] == ["Into the model", title, "Out of the model"]


def test_every_file_of_words_is_a_part() -> None:
    named = {part.name for part in (*ENTRANCE, *LAYER, *EXIT)}
    assert {path.stem for path in FOLDER.glob("*.html")} == named
    assert set(flows(plan("tiny"))) == named


def test_the_words_follow_the_config() -> None:
    current, unlike = text(walk("current")), text(walk("unlike"))
    for words in (
        "4 of them ask, and they share 2 sets of keys and values",
        "In 3 of 5 layers a token also looks up a second row",
        "In 3 of 5 layers a token sees only the newest 257 tokens",
        "as it was after layer 3 is taken out",
        # 1.2 squared times the root of 12.
        "range of ±4.99",
    ):
        assert words in current
    assert "64 rows are padding" in current
    assert "padding" not in unlike
    for words in ("they share one set of keys and values", "MLP with silu", "W Q h + b Q".replace(" ", "")):
        assert words in unlike or words in unlike.replace(" ", "")


def test_a_rule_that_stretches_the_angles_is_told() -> None:
    config = CONFIGS["tiny"].__class__(
        **CONFIGS["tiny"].to_dict() | {"rope_parameters": {"rope_type": "linear", "rope_theta": 500.0, "factor": 2.0}}
    )
    html = walk_html(replace(plan("tiny"), config=config))
    assert "by the rule linear" in html
    assert "<mn>500</mn>" in html
