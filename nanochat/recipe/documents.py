"""Attention for training on a processor: within documents, and nowhere else.

A row holds several documents, and none sees another: over whole rows most products of queries and keys are made only
to be masked. So the documents leave their rows. Those of about the same length are laid side by side, padded at the
end, where a causal query never looks, and each such group is one product.

How many groups there are and how large differs from batch to batch. For torch.compile the whole is therefore one
operation of fixed shape, with its gradient written out, and what surrounds it compiles as one piece.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from nanochat.model.attention import NanoChatAttention
from nanochat.model.modeling_nanochat import NanoChatForCausalLM

NAME = "nanochat_documents"
LENGTH_STEP = 16  # documents are padded to a multiple of this; a single token stays one


def attend_within_documents(model: NanoChatForCausalLM) -> None:
    """Make a model on a processor train with attention by documents; what it computes stays the same.

    On a GPU the fused kernel that transformers chooses is left alone.
    """
    if model.device.type != "cpu":
        return
    ALL_ATTENTION_FUNCTIONS.register(NAME, _attention)
    # Positions say where documents begin, so no mask is made.
    ALL_MASK_ATTENTION_FUNCTIONS.register(NAME, lambda **_: None)
    model.set_attn_implementation(NAME)


def _attention(
    module: NanoChatAttention,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: None,  # noqa: ARG001 - what transformers hands to all
    scaling: float,
    position_ids: Tensor,
    **_: Any,
) -> tuple[Tensor, None]:
    """Attend as the written-out attention does, without its weights; a document begins where positions are zero.

    query, key, value: (batch, heads, length, size), none from a cache. The result is (batch, length, heads, size).
    """
    key = key.repeat_interleave(module.num_key_value_groups, dim=1)
    value = value.repeat_interleave(module.num_key_value_groups, dim=1)
    heads = (each.transpose(1, 2).to(value.dtype).contiguous() for each in (query, key, value))
    positions = position_ids.expand(len(query), -1).contiguous()
    return _attend(*heads, positions, scaling, module.sliding_window or 0), None


@torch.library.custom_op("nanochat::attend_within_documents", mutates_args=())
def _attend(query: Tensor, key: Tensor, value: Tensor, positions: Tensor, scaling: float, window: int) -> Tensor:
    """Attend by documents. query, key, value: (batch, length, heads, size); window: 0 for none."""
    layout = _layout(positions.numpy().tobytes(), query.shape[2])
    gathered = [
        torch.bmm(_weights(q, k, scaling, window), v)
        for q, k, v in zip(*(layout.groups(each) for each in (query, key, value)), strict=True)
    ]
    return layout.rows(gathered, query.shape)


@torch.library.custom_op("nanochat::attend_within_documents_backward", mutates_args=())
def _attend_backward(
    gradient: Tensor, query: Tensor, key: Tensor, value: Tensor, positions: Tensor, scaling: float, window: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of query, key and value. The weights are computed again, since their number is not fixed."""
    layout = _layout(positions.numpy().tobytes(), query.shape[2])
    queries, keys, values = [], [], []
    for g, q, k, v in zip(
        layout.groups(gradient, padding=0.0), *(layout.groups(each) for each in (query, key, value)), strict=True
    ):
        weights = _weights(q, k, scaling, window)
        values.append(torch.bmm(weights.mT, g))
        towards = torch.bmm(g, v.mT)
        scores = torch.ops.aten._softmax_backward_data(towards, weights, -1, weights.dtype) * scaling
        queries.append(torch.bmm(scores, k))
        keys.append(torch.bmm(scores.mT, q))
    made = [layout.rows(each, query.shape) for each in (queries, keys, values)]
    return made[0], made[1], made[2]


def _weights(query: Tensor, key: Tensor, scaling: float, window: int) -> Tensor:
    """Return how much each query takes from each key, (documents and heads, length, length)."""
    mask = _mask(query.shape[1], window, query.dtype)
    return torch.softmax(torch.baddbmm(mask, query, key.mT, alpha=scaling), dim=-1, dtype=query.dtype)


@lru_cache(maxsize=256)
def _mask(length: int, window: int, dtype: torch.dtype) -> Tensor:
    """Return what is added to scores: nothing to the query's own key and those before, within the window."""
    hidden = torch.ones(length, length, dtype=torch.bool).triu(1)
    if window:
        hidden |= torch.ones(length, length, dtype=torch.bool).tril(-window)
    return torch.zeros(length, length, dtype=dtype).masked_fill_(hidden, float("-inf"))


@_attend.register_fake
def _(query: Tensor, *_: Any) -> Tensor:
    return torch.empty_like(query)


@_attend_backward.register_fake
def _(gradient: Tensor, *_: Any) -> tuple[Tensor, Tensor, Tensor]:
    return torch.empty_like(gradient), torch.empty_like(gradient), torch.empty_like(gradient)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:  # noqa: ARG001 - called by name
    *tensors, ctx.scaling, ctx.window = inputs
    ctx.save_for_backward(*tensors)


def _differentiate(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
    made = _attend_backward(gradient.contiguous(), *ctx.saved_tensors, ctx.scaling, ctx.window)
    return (*made, None, None, None)


_attend.register_autograd(_differentiate, setup_context=_keep)


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where the vectors of a batch lie once documents are grouped by length; each head of each token is one vector.

    shapes: documents times heads, and length, of each group. source: the vector at each place of the groups, one after
    another. place: the place of each vector. padding: the places that hold none.
    """

    shapes: tuple[tuple[int, int], ...]
    source: Tensor
    place: Tensor
    padding: Tensor

    def groups(self, heads: Tensor, padding: float | None = None) -> Iterator[Tensor]:
        """Yield the groups of (batch, length, heads, size), each (documents and heads, length, size)."""
        laid = heads.flatten(0, 2).index_select(0, self.source)
        if padding is not None:
            laid.index_fill_(0, self.padding, padding)
        parts = torch.split(laid, [count * length for count, length in self.shapes])
        return (part.view(*shape, -1) for part, shape in zip(parts, self.shapes, strict=True))

    def rows(self, groups: list[Tensor], shape: torch.Size) -> Tensor:
        """Put what was computed in groups back where it belongs."""
        return torch.cat([group.flatten(0, 1) for group in groups]).index_select(0, self.place).view(shape)


@lru_cache(maxsize=1)
def _layout(positions: bytes, heads: int) -> _Layout:
    """Return the layout of a batch, the same for all its layers."""
    starts = np.flatnonzero(np.frombuffer(positions, np.int64) == 0)
    tokens = len(positions) // np.dtype(np.int64).itemsize
    lengths = np.diff(np.append(starts, tokens))
    padded = np.where(lengths == 1, 1, -(-lengths // LENGTH_STEP) * LENGTH_STEP)
    shapes, sources, beyond = [], [], []
    for length in np.unique(padded):
        chosen = padded == length
        token = starts[chosen][:, None, None] + np.arange(length)
        source = token * heads + np.arange(heads)[:, None]
        shapes.append((int(chosen.sum()) * heads, int(length)))
        outside = np.broadcast_to(np.arange(length) >= lengths[chosen][:, None, None], source.shape)
        sources.append(np.where(outside, 0, source).ravel())
        beyond.append(outside.ravel())
    source, padding = np.concatenate(sources), np.concatenate(beyond)
    place = np.empty(tokens * heads, np.int64)
    place[source[~padding]] = np.flatnonzero(~padding)
    return _Layout(tuple(shapes), *(torch.from_numpy(each) for each in (source, place, np.flatnonzero(padding))))
