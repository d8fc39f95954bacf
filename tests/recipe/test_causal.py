"""Attention in blocks gives what written-out attention gives, forwards and backwards."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from nanochat.model.configuration_nanochat import NanoChatConfig
from nanochat.model.modeling_nanochat import NanoChatForCausalLM
from nanochat.recipe import causal


def _model(**changes: object) -> NanoChatForCausalLM:
    torch.manual_seed(3)
    config = NanoChatConfig(
        vocab_size=64,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=64,
        pad_token_id=None,
        **changes,
    )
    model = NanoChatForCausalLM(config)
    for weight in model.parameters():
        torch.nn.init.normal_(weight, std=0.5)
    return model


def _logits_and_gradients(model: NanoChatForCausalLM, positions: Tensor) -> tuple[Tensor, list[Tensor]]:
    ids = torch.randint(0, 64, positions.shape, generator=torch.Generator().manual_seed(5))
    logits = model(ids, position_ids=positions, use_cache=False).logits
    torch.autograd.backward(logits.square().mean())
    return logits.detach(), [weight.grad.clone() for weight in model.parameters() if weight.grad is not None]


@pytest.mark.parametrize("block", [1, 5, 8, 64])
@pytest.mark.parametrize("changes", [{}, {"num_key_value_heads": 2}, {"qk_scale": 1.2}])
def test_blocks_equal_the_whole(monkeypatch: pytest.MonkeyPatch, block: int, changes: dict[str, object]) -> None:
    monkeypatch.setattr(causal, "BLOCK_QUERIES", block)
    # Three documents in a row, as packing lays them: none may see another.
    positions = torch.cat([torch.arange(length) for length in (7, 1, 13)]).repeat(2, 1)
    whole = _model(**changes)
    whole.set_attn_implementation("eager")
    blocks = _model(**changes)
    causal.attend_in_blocks(blocks)
    expected, made = _logits_and_gradients(whole, positions), _logits_and_gradients(blocks, positions)
    torch.testing.assert_close(made[0], expected[0], atol=1e-5, rtol=1e-5)
    for gradient, reference in zip(made[1], expected[1], strict=True):
        torch.testing.assert_close(gradient, reference, atol=1e-5, rtol=1e-4)


def test_the_largest_products_there_can_be_do_not_overflow() -> None:
    model = _model(qk_scale=1.2)
    causal.attend_in_blocks(model)
    with torch.no_grad():
        for layer in model.model.layers:
            layer.self_attn.k_proj.weight.copy_(layer.self_attn.q_proj.weight)
    logits, gradients = _logits_and_gradients(model, torch.arange(20)[None])
    assert logits.isfinite().all()
    assert all(gradient.isfinite().all() for gradient in gradients)
