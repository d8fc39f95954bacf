"""A model whose layers lie on two devices, on a machine that has one.

The second is torch's "meta": its tensors have a shape and no numbers, an operation over both devices fails as it does
over two GPUs, and nothing comes back from it. So a pass that gets through has brought everything to where it is needed.
"""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch

from nanochat import NanoChatConfig, NanoChatForCausalLM
from nanochat.chat.engine import LocalEngine
from nanochat.chat.template import ChatTemplate
from nanochat.model.cache import SlotCache, layer_devices
from nanochat.model.decoder import Segment, SlotDecoder

SIZES: dict[str, Any] = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 32,
    "pad_token_id": None,
}
CURRENT = {
    "window_pattern": "SL",
    "sliding_window": 8,
    "value_embeddings": True,
    "residual_lambdas": True,
    "smear": True,
    "backout": True,
}
LAYER_PLACES = ["cpu", "cpu", "meta", "meta"]


def spread(additions: dict[str, Any]) -> NanoChatForCausalLM:
    """A model whose second half is elsewhere."""
    model = NanoChatForCausalLM(NanoChatConfig(**(SIZES | additions))).eval()
    for layer, place in zip(model.model.layers, LAYER_PLACES, strict=True):
        layer.to(place)
    for part in (model.model.backout, model.lm_head):
        if part is not None:
            part.to("meta")
    return model


def cache_of(model: NanoChatForCausalLM) -> SlotCache:
    return SlotCache(model.config, 2, 32, dtype=torch.float32, device=layer_devices(model))


both = pytest.mark.parametrize("additions", [{}, CURRENT], ids=["classic", "current"])


@both
def test_keys_and_values_are_kept_where_their_layer_is(additions: dict[str, Any]) -> None:
    assert [str(kept.device) for kept in cache_of(spread(additions)).layers] == LAYER_PLACES


@both
def test_a_pass_brings_everything_to_where_it_is_needed(
    additions: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    # The last thing of a pass is to bring its logits back, which is the one thing that "meta" cannot do.
    monkeypatch.setattr(torch.Tensor, "cpu", lambda logits: logits)
    model = spread(additions)
    cache = cache_of(model)
    decoder = SlotDecoder(model, cache)
    one, other = cache.slots
    for first, second in ((tuple(range(12)), (1, 2, 3)), ((5,), (4, 5)), ((6,), (7,))):
        logits = decoder.read([Segment(one, first), Segment(other, second)])
        assert [tuple(rows.shape) for rows in logits] == [(1, 64), (1, 64)]
        assert all(rows.is_meta for rows in logits)
    # A beginning that is shared is copied on each device.
    assert cache.take([*range(12), 5, 6, 9, 8]) is one
    assert cache.take([*range(12), 5, 6, 9]) is other
    assert len(other.ids) == 14


@both
def test_an_engine_over_such_a_model_keeps_each_layers_part_there(
    additions: dict[str, Any], tiny_template: ChatTemplate
) -> None:
    model = spread(additions | {"vocab_size": tiny_template.vocab_size})
    assert [str(kept.device) for kept in LocalEngine(model, tiny_template).cache.layers] == LAYER_PLACES


def test_what_is_left_behind_would_be_seen() -> None:
    model = spread({})
    cache = cache_of(model)
    cache.layers[2] = torch.empty(cache.layers[2].shape)
    with pytest.raises(RuntimeError):
        SlotDecoder(model, cache).read([Segment(cache.slots[0], (1, 2, 3))])


def planned(plan: dict[str, Any], model: NanoChatForCausalLM) -> set[str]:
    """The modules that a plan speaks of, each of which must be there."""
    names = {re.sub(r"\.\d+\.", ".*.", name) for name, _ in model.named_modules()}
    assert set(plan) <= names
    return set(plan)


def test_plans_for_many_devices_say_of_each_architecture_what_holds_for_it() -> None:
    """Value embeddings look up all heads at once, and layers of today ask for more than the stream."""
    classic, current = (NanoChatForCausalLM(NanoChatConfig(**(SIZES | more))) for more in ({}, CURRENT))
    mlp = {"model.layers.*.mlp.fc1", "model.layers.*.mlp.fc2"}
    attention = {f"model.layers.*.self_attn.{name}_proj" for name in "qkvo"}
    assert planned(classic._tp_plan, classic) - attention == planned(current._tp_plan, current)
    assert planned(classic._tp_plan, classic) >= {"lm_head"} | mlp | attention
    assert "model.layers" in planned(classic._pp_plan, classic)
    assert "model.layers" not in planned(current._pp_plan, current)
    # Not a setting of the model: it is saved nowhere.
    assert not any("plan" in key for key in current.config.to_dict())
