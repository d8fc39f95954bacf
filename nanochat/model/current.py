"""What the current architecture adds to the classic one, a module for each thing that is learned.

Five small ideas, each worth a little loss for almost no compute: tokens see a trace of the token before them (smear),
layers start from a mix of the stream and the embedding (residual mix), values get an addition that depends on the token
alone (value embedding), early layers need not see far (windows), and what the stream held at half depth is taken out
again before the head reads it (backout). A classic model has none of these modules, and runs none of this code.

Source: karpathy/nanochat, gpt.py, as of July 2026.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import initialization
from transformers.cache_utils import Cache, DynamicLayer, StaticSlidingWindowLayer
from transformers.masking_utils import create_causal_mask, create_sliding_window_causal_mask

from nanochat.model.configuration_nanochat import NanoChatConfig, head_size, vocabulary_rows


class NanoChatSmear(nn.Module):
    """Add to each token's embedding a gated share of the one before it, so that even the first layer sees pairs."""

    channels = 24

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Linear(self.channels, 1, bias=False)
        self.scale = nn.Parameter(torch.zeros(1))

    def forward(self, embedded: Tensor, previous: Tensor) -> Tensor:
        """Both (…, hidden_size), normalised; zeros in `previous` where no token comes before."""
        share = self.scale * torch.sigmoid(self.gate(embedded[..., : self.channels]))
        return embedded + share * previous


class NanoChatResidualMix(nn.Module):
    """Start a layer from some of the residual stream and some of the embedding that the stream began with."""

    def __init__(self, depth: float) -> None:
        """`depth` runs from 0 at the first layer to 1 at the last, and decides the mix that training starts from."""
        super().__init__()
        self.depth = depth
        self.stream = nn.Parameter(torch.ones(1))
        self.start = nn.Parameter(torch.zeros(1))

    def forward(self, hidden_states: Tensor, embedded: Tensor) -> Tensor:
        return self.stream * hidden_states + self.start * embedded


class NanoChatValueEmbedding(nn.Module):
    """Look up an addition to the values by token id; a gate for each head lets the context scale it between 0 and 3."""

    channels = 12
    largest_gate = 3

    def __init__(self, config: NanoChatConfig) -> None:
        super().__init__()
        kv_heads = config.num_key_value_heads or config.num_attention_heads
        self.table = nn.Embedding(vocabulary_rows(config), kv_heads * head_size(config))
        self.gate = nn.Linear(self.channels, kv_heads, bias=False)

    def forward(self, input_ids: Tensor, hidden_states: Tensor) -> Tensor:
        """Return what is added to the values: (batch, heads, length, head_dim).

        input_ids: (batch, length). hidden_states: (batch, length, hidden_size), the input of attention.
        """
        gates = self.largest_gate * torch.sigmoid(self.gate(hidden_states[..., : self.channels]))
        looked_up: Tensor = self.table(input_ids).unflatten(-1, (gates.shape[-1], -1))
        return (gates.unsqueeze(-1) * looked_up).transpose(1, 2)


class NanoChatBackout(nn.Module):
    """Take a share of the stream at half depth out of the stream at full depth: features the head has no use for."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.zeros(1))

    def forward(self, hidden_states: Tensor, halfway: Tensor) -> Tensor:
        return hidden_states - self.scale * halfway


def has_value_embedding(config: NanoChatConfig, layer_idx: int) -> bool:
    """Say whether a layer adds to its values: every other one, counted back from the last."""
    return config.value_embeddings and (config.num_hidden_layers - 1 - layer_idx) % 2 == 0


def window_of(config: NanoChatConfig, layer_idx: int) -> int | None:
    """Return how many tokens a layer sees, itself included, or None where it sees all."""
    layer_types = getattr(config, "layer_types", None)
    windowed = layer_types is not None and layer_types[layer_idx] == "sliding_attention"
    return config.sliding_window if windowed else None


def attention_masks(
    config: NanoChatConfig, embedded: Tensor, attention_mask: Any, cache: Cache | None, position_ids: Tensor
) -> tuple[Any, Any]:
    """Return transformers' masks for layers that see everything and for layers with a window, if there are such."""
    if isinstance(attention_mask, dict):  # generate() made both beforehand
        return attention_mask.get("full_attention"), attention_mask.get("sliding_attention")
    inputs: dict[str, Any] = {
        "config": config,
        "inputs_embeds": embedded,
        "attention_mask": attention_mask,
        "past_key_values": cache,
        "position_ids": position_ids,
    }
    windowed = None if config.sliding_window is None else create_sliding_window_causal_mask(**inputs)
    return create_causal_mask(**inputs), windowed


def previous_embeddings(
    embedded: Tensor, position_ids: Tensor, attention_mask: Any, cache: Cache | None, model_layers: int
) -> Tensor:
    """Return for each token the embedding before it, zeros for the first of a text.

    embedded: (batch, length, hidden_size). A text begins at position 0, or after padding in a (batch, tokens) mask.
    With a cache, the token before the first one here is the last one of the call before.
    """
    length = embedded.shape[1]
    seen = embedded if cache is None else _remember(cache, embedded, model_layers)
    before = F.pad(seen, (0, 0, 1, 0))[:, -length - 1 : -1]
    follows = position_ids > 0
    if isinstance(attention_mask, Tensor) and attention_mask.dim() == 2:
        follows = follows & F.pad(attention_mask.bool(), (1, 0))[:, -length - 1 : -1]
    return before * follows.unsqueeze(-1).to(before.dtype)


def initialize(module: nn.Module, hidden_size: int) -> None:
    """Give a module of this file the values that training starts from, as karpathy/nanochat's init_weights does."""
    if isinstance(module, NanoChatSmear | NanoChatValueEmbedding):
        initialization.uniform_(module.gate.weight, 0.0, 0.02)
    if isinstance(module, NanoChatSmear):
        initialization.zeros_(module.scale)
    if isinstance(module, NanoChatValueEmbedding):
        bound = (3 / hidden_size) ** 0.5
        initialization.uniform_(module.table.weight, -bound, bound)
    if isinstance(module, NanoChatResidualMix):
        initialization.constant_(module.stream, 1.15 - 0.10 * module.depth)
        initialization.constant_(module.start, 0.20 - 0.15 * module.depth)
    if isinstance(module, NanoChatBackout):
        initialization.constant_(module.scale, 0.2)


def _remember(cache: Cache, embedded: Tensor, model_layers: int) -> Tensor:
    """Append embeddings to those the cache holds and return all of them, (batch, past + length, hidden_size).

    They lie in one more layer than the model has, as if they were its keys, so that whatever is done to the cache
    (beams reordered, tokens cropped, rows selected) is done to them too. A static cache keeps the last one alone: its
    tensors must not grow.
    """
    while cache.layer_class_to_replicate is not None and len(cache.layers) < model_layers:
        cache.layers.append(cache.layer_class_to_replicate())  # made without a config, it would do this on first use
    if len(cache.layers) == model_layers:
        cache.layers.append(StaticSlidingWindowLayer(2, 2) if cache.is_compileable else DynamicLayer())
    no_values = embedded[:, None, :, :0]
    seen, _ = cast(DynamicLayer, cache.layers[model_layers]).update(embedded.unsqueeze(1), no_values)
    return seen.squeeze(1)
