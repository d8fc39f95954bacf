"""The model card says what the loaded model is, and nothing else."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ElementTree
from types import SimpleNamespace

import pytest

from nanochat import NanoChatForCausalLM
from nanochat.chat.engine import EngineLimits, LocalEngine
from nanochat.lens.observed import ObservedEngine
from nanochat.model.facts import facts_of
from nanochat.ui.model_card import card, card_html, plan_of
from nanochat.ui.served import ServedModel
from tests.ui.models import CONFIGS, checkpoint, facts, template


def served(name: str, **changes: object) -> ServedModel:
    return ServedModel(None, template(), checkpoint(name, **changes), facts(name))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", CONFIGS)
def test_every_number_is_that_of_the_model(name: str) -> None:
    html, counted = card_html(served(name)), facts(name)
    for exact in (counted.parameters, counted.size_bytes, counted.flops_a_token(0), counted.kv_bytes_a_token):
        assert f'title="{exact:,}' in html
    assert f"{counted.context_tokens:,} tokens" in html


def test_the_text_itself_holds_no_number_of_a_model() -> None:
    """Two models that share nothing share no number on their cards but those of the way and of the drawing."""
    tables = [re.findall(r"<dd.*?</dd>", card_html(served(name))) for name in ("grouped", "deep")]
    assert not set(tables[0][:5]) & set(tables[1][:5])


def test_names_from_outside_are_text() -> None:
    html = card_html(served("tiny", source="<script>alert(1)</script>", revision="<em>"))
    assert "<script>" not in html
    assert "<em>" not in html
    assert "&lt;script&gt;" in html


def test_a_revision_is_named() -> None:
    html = card_html(served("tiny", source="karpathy/nanochat-d32", revision="abc123"))
    assert "Loaded from karpathy/nanochat-d32, revision abc123." in html


def test_the_whole_checksum_can_be_copied_and_its_beginning_is_shown() -> None:
    html = card_html(served("tiny", checksum="0123456789abcdef" * 4))
    assert f'data-copy="{"0123456789abcdef" * 4}"' in html
    assert ">0123456789ab…</code>" in html


@pytest.mark.parametrize("name", CONFIGS)
def test_the_page_stays_light(name: str) -> None:
    layers = CONFIGS[name].num_hidden_layers
    assert len(card_html(served(name))) < 80_000 + 3_000 * layers


def test_all_conversations_together_take_what_their_cache_takes(tiny_model: NanoChatForCausalLM) -> None:
    engine = LocalEngine(tiny_model, template(), EngineLimits(slots=3, context=100))
    observed = ObservedEngine(engine, tiny_model)
    held = SimpleNamespace(model=tiny_model, source="embedded", revision=None, checksum="0f" * 32)
    here = ServedModel(observed, template(), held, facts_of(tiny_model))  # type: ignore[arg-type]
    assert "Memory for 3 conversations when full" in card_html(here)
    assert card(here)["slots_bytes"] == engine.cache.size_bytes == 3 * 100 * plan_of(here).kv_bytes_a_token
    assert f'title="{engine.cache.size_bytes:,} bytes' in card_html(here)
    assert "when full" not in card_html(served("tiny"))
    assert card(served("tiny"))["slots_bytes"] is None


def test_what_the_markup_says_a_browser_reads_as_it_stands() -> None:
    """No text of a model opens a placeholder of Gradio's templates, and every element is closed."""
    html = card_html(served("current", source="${value} {{#if}}"))
    assert "${" not in html
    assert "{{" not in html
    ElementTree.fromstring(html)


def test_programs_get_the_same_numbers_as_json() -> None:
    record = json.loads(json.dumps(card(served("windows"))))
    counted = facts("windows")
    assert record["parameters"] == counted.parameters == sum(part["parameters"] for part in record["whole"]["parts"])
    assert record["source"] == "embedded"
    assert record["checksum"] == "0f" * 32
    assert record["config"]["hidden_size"] == 1_280
    assert record["flops_a_token_at_full_context"] > record["flops_a_token"]
