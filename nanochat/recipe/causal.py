"""Attention for training, block by block: what lies after a block of queries is never multiplied.

No token sees a later one, so of all products of queries and keys nearly half are made only to be masked. Taken in
blocks of queries, each with the keys up to its own end, most of them are left out. And since queries and keys are
normalised, their products are bounded: the softmax needs no search for the largest one, which saves a pass.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS, eager_mask
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from nanochat.model.attention import NanoChatAttention
from nanochat.model.modeling_nanochat import NanoChatForCausalLM

NAME = "nanochat_blocks"
BLOCK_QUERIES = 128


def attend_in_blocks(model: NanoChatForCausalLM) -> None:
    """Make the model train with attention in blocks; what it computes stays the same."""
    ALL_ATTENTION_FUNCTIONS.register(NAME, blocked_attention)
    ALL_MASK_ATTENTION_FUNCTIONS.register(NAME, eager_mask)
    model.set_attn_implementation(NAME)


def blocked_attention(
    module: NanoChatAttention,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor,
    scaling: float,
    dropout: float = 0.0,
    **_: Any,
) -> tuple[Tensor, None]:
    """Attend as the written-out attention does, without returning the weights.

    query, key, value: (batch, heads, length, size), none from a cache; attention_mask: (batch, 1, length, length), to
    be added. The result is (batch, length, heads, size).
    """
    key = key.repeat_interleave(module.num_key_value_groups, dim=1)
    value = value.repeat_interleave(module.num_key_value_groups, dim=1)
    gathered = []
    for start in range(0, query.shape[2], BLOCK_QUERIES):
        end = min(start + BLOCK_QUERIES, query.shape[2])
        scores = query[:, :, start:end] @ key[:, :, :end].transpose(2, 3) * scaling
        # At most head size times the scale: e to that power is far from overflow in float32, whatever is in the row.
        shares = torch.exp((scores + attention_mask[:, :, start:end, :end]).float())
        weights = (shares / shares.sum(dim=-1, keepdim=True)).to(query.dtype)
        weights = F.dropout(weights, p=dropout, training=module.training)
        gathered.append((weights @ value[:, :, :end]).transpose(1, 2))
    return torch.cat(gathered, dim=1), None
