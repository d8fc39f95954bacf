"""Models on the meta device: all of their shapes, none of their weights."""

from __future__ import annotations

from functools import cache
from types import SimpleNamespace

import torch

from nanochat import NanoChatConfig, NanoChatForCausalLM
from nanochat.chat.template import ChatTemplate
from nanochat.model.facts import ModelFacts, facts_of
from nanochat.recipe.tokenizer import train_tokenizer
from nanochat.ui.plan import Plan, sentence_of
from tests.conftest import LINES

CONFIGS = {
    "tiny": NanoChatConfig(
        vocab_size=384, hidden_size=32, intermediate_size=128, num_hidden_layers=1, num_attention_heads=4
    ),
    "grouped": NanoChatConfig(
        vocab_size=8_192,
        hidden_size=320,
        intermediate_size=1_280,
        num_hidden_layers=8,
        num_attention_heads=10,
        num_key_value_heads=5,
        max_position_embeddings=1_024,
    ),
    "windows": NanoChatConfig(
        vocab_size=65_536,
        hidden_size=1_280,
        intermediate_size=5_120,
        num_hidden_layers=20,
        num_attention_heads=10,
        window_pattern="SSSL",
        value_embeddings=True,
        smear=True,
    ),
    "deep": NanoChatConfig(
        vocab_size=50_304, hidden_size=2_048, intermediate_size=8_192, num_hidden_layers=64, num_attention_heads=32
    ),
    "uncapped": NanoChatConfig(
        vocab_size=384,
        hidden_size=32,
        intermediate_size=16,
        num_hidden_layers=2,
        num_attention_heads=1,
        final_logit_softcapping=None,
    ),
    "current": NanoChatConfig(
        vocab_size=384,
        padded_vocab_size=448,
        hidden_size=48,
        intermediate_size=192,
        num_hidden_layers=5,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=1_024,
        qk_scale=1.2,
        rope_parameters={"rope_theta": 100_000.0, "rope_type": "default"},
        window_pattern="SSSL",
        value_embeddings=True,
        residual_lambdas=True,
        smear=True,
        backout=True,
    ),
    "unlike": NanoChatConfig(
        vocab_size=384,
        hidden_size=32,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=1,
        hidden_act="silu",
        attention_bias=True,
        tie_word_embeddings=True,
        rms_norm_eps=2.5e-5,
    ),
}


@cache
def weightless(name: str) -> NanoChatForCausalLM:
    with torch.device("meta"):
        return NanoChatForCausalLM(CONFIGS[name])


@cache
def template() -> ChatTemplate:
    return ChatTemplate(train_tokenizer(LINES, vocab_size=384))


@cache
def plan(name: str) -> Plan:
    counted = facts(name)
    return Plan(counted, CONFIGS[name], sentence_of(template()), 9, counted.kv_bytes_a_token)


@cache
def facts(name: str) -> ModelFacts:
    return facts_of(weightless(name))


def checkpoint(name: str, **changes: object) -> SimpleNamespace:
    """What a page reads of a checkpoint; loading a real one is tested elsewhere."""
    return SimpleNamespace(
        **{"model": weightless(name), "source": "embedded", "revision": None, "checksum": "0f" * 32} | changes
    )
