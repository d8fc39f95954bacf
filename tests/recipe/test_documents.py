"""Attention by documents gives what written-out attention gives, forwards and backwards."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from nanochat.model.configuration_nanochat import NanoChatConfig
from nanochat.model.modeling_nanochat import NanoChatForCausalLM
from nanochat.recipe import documents


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


ROWS = {
    "three documents in a row, as packing lays them": [(7, 1, 13)],
    "one that fills its row": [(21,)],
    "lengths at a multiple of the padding, one below and one above": [(16, 15, 17)],
    "a row that ends in places without a document": [(18, 1, 1, 1), (1, 20)],
}


@pytest.mark.parametrize("lengths", ROWS.values(), ids=ROWS.keys())
@pytest.mark.parametrize(
    "changes", [{}, {"num_key_value_heads": 2}, {"qk_scale": 1.2}, {"window_pattern": "SL", "sliding_window": 6}]
)
def test_attention_by_documents_equals_the_whole(lengths: list[tuple[int, ...]], changes: dict[str, object]) -> None:
    positions = torch.stack([torch.cat([torch.arange(length) for length in row]) for row in lengths])
    whole = _model(**changes)
    whole.set_attn_implementation("eager")
    parted = _model(**changes)
    documents.attend_within_documents(parted)
    expected, made = _logits_and_gradients(whole, positions), _logits_and_gradients(parted, positions)
    torch.testing.assert_close(made[0], expected[0], atol=1e-5, rtol=1e-5)
    for gradient, reference in zip(made[1], expected[1], strict=True):
        torch.testing.assert_close(gradient, reference, atol=1e-5, rtol=1e-4)


@torch.inference_mode()
def test_no_document_sees_another() -> None:
    """Against each document alone, so that a mistake in the mask of both ways would show."""
    model = _model()
    documents.attend_within_documents(model)
    ids = torch.randint(0, 64, (1, 40), generator=torch.Generator().manual_seed(5))
    lengths = (9, 1, 30)
    together = model(ids, position_ids=torch.cat([torch.arange(length) for length in lengths])[None]).logits[0]
    model.set_attn_implementation("eager")
    alone = torch.cat([model(part[None]).logits[0] for part in ids[0].split(lengths)])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)


def test_what_torch_compile_is_told_of_the_operation_is_true() -> None:
    heads = [torch.randn(2, 12, 2, 8, requires_grad=True) for _ in range(3)]
    positions = torch.cat([torch.arange(length) for length in (7, 1, 4)]).repeat(2, 1)
    torch.library.opcheck(torch.ops.nanochat.attend_within_documents, (*heads, positions, 0.3, 0))
