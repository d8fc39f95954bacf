"""Where a token stands, told to attention by turning its queries and keys.

Each pair of channels is turned by an angle that grows with the position, fast for the first pair and ever slower for
the later ones; the product of a query and a key then depends on how far apart the two stand, and on nothing else.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS, dynamic_rope_update

from nanochat.model.configuration_nanochat import NanoChatConfig, head_size


class NanoChatRotaryEmbedding(nn.Module):
    """Cosines and sines of the angle by which each position turns each pair of channels."""

    inv_freq: Tensor
    original_inv_freq: Tensor

    def __init__(self, config: NanoChatConfig) -> None:
        super().__init__()
        self.config = config
        self.max_seq_len_cached = config.max_position_embeddings
        self.original_max_seq_len = config.max_position_embeddings
        self.rope_type: str = (config.rope_parameters or {})["rope_type"]
        start = (
            self.compute_default_rope_parameters if self.rope_type == "default" else ROPE_INIT_FUNCTIONS[self.rope_type]
        )
        inv_freq, self.attention_scaling = start(config)
        # Not saved: transformers' port computes them from the config too.
        self.register_buffer("inv_freq", inv_freq, persistent=False)
        self.register_buffer("original_inv_freq", inv_freq.clone(), persistent=False)

    @staticmethod
    def compute_default_rope_parameters(config: NanoChatConfig, **_: Any) -> tuple[Tensor, float]:
        """Return one frequency for each pair of channels, falling from 1 to 1 / base, and the unused scale 1.0."""
        base = (config.rope_parameters or {})["rope_theta"]
        head_dim = head_size(config)
        exponents = torch.arange(0, head_dim, 2, dtype=torch.float32) / head_dim
        return 1.0 / base**exponents, 1.0

    @torch.no_grad()
    @dynamic_rope_update  # type: ignore[untyped-decorator]
    def forward(self, hidden_states: Tensor, position_ids: Tensor) -> tuple[Tensor, Tensor]:
        """Return cosine and sine, each (batch, length, head_dim), in the type of `hidden_states`."""
        angles = position_ids[..., None].float() * self.inv_freq.to(hidden_states.device, torch.float32)
        angles = torch.cat((angles, angles), dim=-1)
        cos, sin = angles.cos() * self.attention_scaling, angles.sin() * self.attention_scaling
        return cos.to(hidden_states.dtype), sin.to(hidden_states.dtype)


def rotate(heads: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn each pair of channels (i, i + half) by minus its angle.

    heads: (batch, heads, length, head_dim); cos and sin: (batch, length, head_dim).
    The minus is nanochat's own (karpathy/nanochat, gpt.py, apply_rotary_emb); Llama turns the other way.
    """
    first, second = heads.chunk(2, dim=-1)
    turned = torch.cat((second, -first), dim=-1)
    return heads * cos.unsqueeze(1) + turned * sin.unsqueeze(1)
