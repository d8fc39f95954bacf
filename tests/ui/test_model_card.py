"""The model card says what the loaded model is, and nothing else."""

from __future__ import annotations

import json
import re

import pytest

from nanochat.ui.model_card import card, card_html
from nanochat.ui.served import ServedModel
from tests.ui.models import CONFIGS, checkpoint, facts


def served(name: str, **changes: object) -> ServedModel:
    return ServedModel(None, None, checkpoint(name, **changes), facts(name))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", CONFIGS)
def test_every_number_is_that_of_the_model(name: str) -> None:
    html, counted = card_html(served(name)), facts(name)
    for exact in (counted.parameters, counted.size_bytes, counted.flops_a_token(0), counted.kv_bytes_a_token):
        assert f'title="{exact:,}' in html
    assert f"{counted.context_tokens:,} tokens" in html
    assert f"{len(counted.layers)} blocks" in html


def test_the_text_itself_holds_no_number_of_a_model() -> None:
    """Two models that share nothing share no number on their cards but those of the way and of the drawing."""
    tables = [re.findall(r"<dd.*?</dd>", card_html(served(name))) for name in ("grouped", "deep")]
    assert not set(tables[0][:5]) & set(tables[1][:5])


def test_additions_are_explained_where_the_model_has_them() -> None:
    assert "Smear" in card_html(served("windows"))
    assert "Value embeddings" in card_html(served("windows"))
    assert "Smear" not in card_html(served("grouped"))


def test_every_addition_that_is_counted_has_its_words() -> None:
    from nanochat.ui.model_card import _ADDITIONS

    assert set(facts("windows").additions) <= set(_ADDITIONS)


def test_shared_keys_and_values_are_told_from_separate_ones() -> None:
    assert "they share 5 sets of keys and values" in card_html(served("grouped"))
    assert "keys and values of its own" in card_html(served("deep"))


def test_names_from_outside_are_text() -> None:
    html = card_html(served("tiny", source="<script>alert(1)</script>", revision="<b>"))
    assert "<script>" not in html
    assert "<b>" not in html
    assert "&lt;script&gt;" in html


def test_a_revision_is_named() -> None:
    html = card_html(served("tiny", source="karpathy/nanochat-d32", revision="abc123"))
    assert "Loaded from karpathy/nanochat-d32, revision abc123." in html


def test_programs_get_the_same_numbers_as_json() -> None:
    record = json.loads(json.dumps(card(served("windows"))))
    counted = facts("windows")
    assert record["parameters"] == counted.parameters == sum(part["parameters"] for part in record["whole"]["parts"])
    assert record["source"] == "embedded"
    assert record["checksum"] == "0f" * 32
    assert record["config"]["hidden_size"] == 1_280
    assert record["flops_a_token_at_full_context"] > record["flops_a_token"]
