"""Where tokens meet: each gathers from itself and earlier ones what its queries match.

Queries and keys are turned by RoPE first and normalised after, so how strongly two tokens attend depends on the angle
between them alone. Several query heads share one head of keys and values where the config says so.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers.cache_utils import Cache
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from nanochat.model.configuration_nanochat import NanoChatConfig, head_size
from nanochat.model.current import NanoChatValueEmbedding, has_value_embedding, window_of
from nanochat.model.rotary import rotate


class NanoChatRMSNorm(nn.Module):
    """Scale each vector to a root mean square of one. There is no weight to learn."""

    def __init__(self, eps: float = 1e-6) -> None:
        super().__init__()
        self.eps = eps

    def forward(self, hidden_states: Tensor) -> Tensor:
        return F.rms_norm(hidden_states, (hidden_states.shape[-1],), eps=self.eps)

    def extra_repr(self) -> str:
        return f"eps={self.eps}"


class NanoChatAttention(nn.Module):
    """Causal self-attention: each token gathers from itself and earlier ones what its queries match."""

    def __init__(self, config: NanoChatConfig, layer_idx: int) -> None:
        super().__init__()
        self.config = config
        self.layer_idx = layer_idx
        self.head_dim = head_size(config)
        query_heads, kv_heads = config.num_attention_heads, config.num_key_value_heads or config.num_attention_heads
        self.num_key_value_groups = query_heads // kv_heads
        # Scaling queries and keys by s scales their products by s squared, here where it costs nothing.
        self.scaling = self.head_dim**-0.5 * config.qk_scale**2
        self.attention_dropout = config.attention_dropout
        self.is_causal = True
        self.q_proj = nn.Linear(config.hidden_size, query_heads * self.head_dim, bias=config.attention_bias)
        self.k_proj = nn.Linear(config.hidden_size, kv_heads * self.head_dim, bias=config.attention_bias)
        self.v_proj = nn.Linear(config.hidden_size, kv_heads * self.head_dim, bias=config.attention_bias)
        self.o_proj = nn.Linear(query_heads * self.head_dim, config.hidden_size, bias=config.attention_bias)
        self.q_norm = NanoChatRMSNorm(config.rms_norm_eps)
        self.k_norm = NanoChatRMSNorm(config.rms_norm_eps)
        self.sliding_window = window_of(config, layer_idx)
        self.value_embedding = NanoChatValueEmbedding(config) if has_value_embedding(config, layer_idx) else None

    def forward(
        self,
        hidden_states: Tensor,
        position_embeddings: tuple[Tensor, Tensor],
        attention_mask: Tensor | None = None,
        past_key_values: Cache | None = None,
        input_ids: Tensor | None = None,
        **kwargs: Any,
    ) -> tuple[Tensor, Tensor | None]:
        """Map (batch, length, hidden) to the same shape; the weights come second, under eager attention only."""
        batch, length = hidden_states.shape[:-1]
        heads_last = (batch, length, -1, self.head_dim)
        query = self.q_proj(hidden_states).view(heads_last).transpose(1, 2)
        key = self.k_proj(hidden_states).view(heads_last).transpose(1, 2)
        value = self.v_proj(hidden_states).view(heads_last).transpose(1, 2)
        if self.value_embedding is not None:
            value = value + self.value_embedding(input_ids, hidden_states)

        # RoPE comes first and the norm after; other models that normalise queries and keys do it the other way round.
        query = self.q_norm(rotate(query, *position_embeddings))
        key = self.k_norm(rotate(key, *position_embeddings))
        if past_key_values is not None:
            key, value = past_key_values.update(key, value, self.layer_idx)

        if self.sliding_window is not None:
            kwargs["sliding_window"] = self.sliding_window
        attend: Callable[..., tuple[Tensor, Tensor | None]] = ALL_ATTENTION_FUNCTIONS.get_interface(
            self.config._attn_implementation, eager_attention_forward
        )
        dropout = self.attention_dropout if self.training else 0.0
        gathered, weights = attend(
            self, query, key, value, attention_mask, dropout=dropout, scaling=self.scaling, **kwargs
        )
        return self.o_proj(gathered.reshape(batch, length, -1)), weights


def eager_attention_forward(
    module: NanoChatAttention,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float,
    dropout: float = 0.0,
    **_: Any,
) -> tuple[Tensor, Tensor]:
    """Attention written out, so that its weights (batch, heads, length, keys) can be looked at."""
    key = key.repeat_interleave(module.num_key_value_groups, dim=1)
    value = value.repeat_interleave(module.num_key_value_groups, dim=1)
    scores = query @ key.transpose(2, 3) * scaling
    if attention_mask is not None:
        scores = scores + attention_mask
    weights = F.softmax(scores, dim=-1, dtype=torch.float32).to(query.dtype)
    weights = F.dropout(weights, p=dropout, training=module.training)
    return (weights @ value).transpose(1, 2).contiguous(), weights
