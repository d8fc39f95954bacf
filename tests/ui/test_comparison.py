"""The table says of this model what its config says, and of the others what is known."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import pytest

from nanochat.ui.comparison import Cell, Row, comparison, comparison_html
from tests.ui.models import CONFIGS, plan


def rows(name: str) -> dict[str, Row]:
    return {row.subject: row for row in comparison(plan(name))}


def test_a_classic_model_is_told_apart_as_a_teacher_would() -> None:
    assert {subject: row.verdict for subject, row in rows("deep").items()} == {
        "Positions": "as Llama",
        "Norm": "simpler",
        "Norms stand": "its own",
        "Queries and keys": "its own",
        "Keys and values": "as GPT-2",
        "A token sees": "the same in all",
        "MLP": "as GPT-2",
        "Activation": "simpler",
        "Biases": "as Llama",
        "Head": "as Llama",
        "Scores": "its own",
    }


def test_a_model_with_another_config_gets_another_table() -> None:
    """Each field of the config that a row speaks of is changed in one of these models, and the row with it."""
    classic, current, unlike = rows("deep"), rows("current"), rows("unlike")
    assert current["Positions"].ours == Cell("turned by RoPE", "base 100,000")
    assert current["Queries and keys"].ours.detail == "after RoPE, times 1.2"
    assert current["A token sees"].ours.what == "the newest 257 in 3 layers, all in the others"
    assert current["Besides"].ours.what == "value embeddings, residual mixes, smear, backout"
    assert "Besides" not in classic
    assert unlike["Keys and values"].verdict == "as Llama"
    assert unlike["Keys and values"].ours.detail == "4 heads, 1 for these"
    assert unlike["Activation"].ours.what == "silu"
    assert unlike["Biases"].ours.what == "in attention"
    assert unlike["Head"].verdict == "as GPT-2"
    assert unlike["MLP"].ours.detail == "3 times as wide"
    assert rows("uncapped")["Scores"].verdict == "the same in all"


@pytest.mark.parametrize("name", CONFIGS)
def test_each_subject_has_a_cell_for_each_model(name: str) -> None:
    table = ElementTree.fromstring(comparison_html(plan(name)))
    lines = table.findall("./tbody/tr")
    subjects, cells = lines[::2], lines[1::2]
    assert [len(line.findall("td")) for line in cells] == [3] * len(subjects)
    assert all(line.find("th") is not None for line in subjects)
    assert len(table.findall("./thead/tr/th")) == 3


def test_the_sizes_are_those_of_the_model() -> None:
    html = comparison_html(plan("grouped"))
    assert "<td>8,192</td><td>50,257</td>" in html
    assert "<td>1,024</td><td>1,024</td>" in html
