"""Every parameter hangs on the tree once, and the numbers add up."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator

import pytest

from nanochat.model.facts import TensorFacts
from nanochat.ui.parameter_tree import Branch, shape_text, tree, tree_html
from tests.ui.models import CONFIGS, facts, weightless


def leaves(branch: Branch, path: str = "") -> Iterator[tuple[str, TensorFacts]]:
    here = f"{path}.{branch.name}".removeprefix(".all").removeprefix(".")
    if branch.tensor is not None:
        yield here, branch.tensor
    for below in branch.branches:
        yield from leaves(below, here)


def branches(branch: Branch) -> Iterator[Branch]:
    yield branch
    for below in branch.branches:
        yield from branches(below)


@pytest.mark.parametrize("name", CONFIGS)
def test_every_parameter_of_the_model_hangs_on_it_once_and_under_its_name(name: str) -> None:
    hung = [(path, tensor.name, tensor.shape) for path, tensor in leaves(tree(facts(name).tensors))]
    there = {key: tuple(tensor.shape) for key, tensor in weightless(name).named_parameters()}
    assert [path for path, _, _ in hung] == [key for _, key, _ in hung]
    assert len(hung) == len({path for path, _, _ in hung}), "a tensor hangs twice"
    assert {path: shape for path, _, shape in hung} == there


@pytest.mark.parametrize("name", CONFIGS)
def test_each_branch_is_the_sum_of_what_hangs_on_it_up_to_the_whole_model(name: str) -> None:
    counted = facts(name)
    root = tree(counted.tensors)
    assert (root.parameters, root.size_bytes) == (counted.parameters, counted.size_bytes)
    for branch in branches(root):
        if branch.branches:
            assert branch.parameters == sum(below.parameters for below in branch.branches), branch.name
            assert branch.size_bytes == sum(below.size_bytes for below in branch.branches), branch.name


def test_a_path_without_a_fork_is_one_step() -> None:
    names = {branch.name for branch in branches(tree(facts("tiny").tensors))}
    assert {"embed_tokens.weight", "lm_head.weight", "layers.0"} <= names


@pytest.mark.parametrize("name", CONFIGS)
def test_all_counts_and_shapes_are_written_out(name: str) -> None:
    root = tree(facts(name).tensors)
    html = tree_html(root)
    written = re.findall(r"<span[^>]*>([\d,]+)</span>", html)
    assert written == [f"{branch.parameters:,}" for branch in branches(root)]
    for _, tensor in leaves(root):
        assert f"{shape_text(tensor.shape)} {tensor.dtype}</small>" in html
    ElementTree.fromstring(html)


def test_a_name_from_elsewhere_is_text() -> None:
    html = tree_html(tree([TensorFacts("<b>.weight", (2, 3), "float32", 6, 24)]))
    assert "<b>" not in html


def test_shapes_are_read_aloud() -> None:
    assert shape_text((4096, 256)) == "4,096 × 256"
    assert shape_text((1,)) == "1"
