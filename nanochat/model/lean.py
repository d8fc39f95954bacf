"""One layer's arithmetic with nothing in it that only training needs.

Writing an answer is many small steps, and in a small step most of the time is the cost of asking for an operation, not
of doing it. So here are the layer's own weights under fewer operations: queries, keys and values come from one matrix,
norm and rotation are put together from parts that read their input once. The stream is kept in float32, whatever the
weights are, and tests hold each piece to the module it stands for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nanochat.model.modeling_nanochat import NanoChatDecoderLayer

Linear: TypeAlias = Callable[[Tensor], Tensor]


class LeanLayer:
    """One decoder layer over tokens laid end to end, shape (tokens, hidden_size)."""

    def __init__(self, layer: NanoChatDecoderLayer) -> None:
        attention, mlp = layer.self_attn, layer.mlp
        self.window = attention.sliding_window
        self.scaling = attention.scaling
        self.key_heads = attention.k_proj.out_features // attention.head_dim
        self._layer = layer
        self._attention = attention
        self._project = lean_linear(*fused(attention.q_proj, attention.k_proj, attention.v_proj))
        self._mix = lean_linear(attention.o_proj.weight, attention.o_proj.bias)
        self._widen, self._narrow = lean_linear(mlp.fc1.weight), lean_linear(mlp.fc2.weight)
        self._activate = _squared_relu if layer.self_attn.config.hidden_act == "relu2" else mlp.activation_fn
        self._dtype = attention.q_proj.weight.dtype
        self._norm = partial(normalized, eps=_scalar(layer.input_layernorm.eps, attention.q_proj.weight))
        self._head_norm = partial(normalized, eps=_scalar(attention.q_norm.eps, attention.q_proj.weight))

    def start(self, hidden: Tensor, embedded: Tensor) -> Tensor:
        """Return the stream as this layer takes it up."""
        mix = self._layer.residual_mix
        return hidden if mix is None else mix(hidden, embedded)

    def look(self, hidden: Tensor, ids: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """Return queries, keys and values in this order, float32 of shape (tokens, all heads, head_dim)."""
        normed = self._norm(hidden).to(self._dtype)
        heads = self._project(normed).float().view(len(hidden), -1, self._attention.head_dim)
        turned = self._head_norm(rotated(heads[:, : -self.key_heads], cos, sin))
        values = heads[:, -self.key_heads :]
        if self._attention.value_embedding is not None:
            values = values + self._attention.value_embedding(ids[None], normed[None])[0].transpose(0, 1)
        return torch.cat((turned, values), dim=1)

    def add(self, hidden: Tensor, gathered: Tensor) -> Tensor:
        """Return the stream with what attention gathered, (tokens, heads * head_dim), and what the MLP makes of it."""
        hidden = hidden + self._mix(gathered.to(self._dtype))
        return hidden + self._narrow(self._activate(self._widen(self._norm(hidden).to(self._dtype))))


def normalized(vectors: Tensor, eps: Tensor) -> Tensor:
    """Scale each vector to a root mean square of one, as NanoChatRMSNorm does, in half its operations."""
    length = torch.linalg.vector_norm(vectors, dim=-1, keepdim=True)
    return vectors * torch.addcmul(eps, length, length, value=1 / vectors.shape[-1]).rsqrt_()


def rotated(heads: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn each pair of channels as `rotate` does; `sin` is from `signed_sine`. All broadcast to (…, head_dim)."""
    return torch.addcmul(heads * cos, heads.roll(heads.shape[-1] // 2, -1), sin)


def signed_sine(sin: Tensor) -> Tensor:
    """Put the minus of the rotation into the sine, where it is taken once and not in every step."""
    first, second = sin.chunk(2, dim=-1)
    return torch.cat((first, -second), dim=-1)


def lean_linear(weight: Tensor, bias: Tensor | None = None) -> Linear:
    """Return the fastest way to apply this matrix to (tokens, features)."""
    if weight.device.type == "cpu" and weight.dtype == torch.bfloat16 and bias is None:
        return partial(_bfloat16_linear, weight)
    return partial(F.linear, weight=weight, bias=bias)


def fused(*maps: nn.Linear) -> tuple[Tensor, Tensor | None]:
    """Return weight and bias of the maps as one, and make the maps views of it, so that nothing is held twice."""
    weight = _joined([single.weight for single in maps])
    biases = [single.bias for single in maps if single.bias is not None]
    return weight, _joined(biases) if biases else None


def even_rows(count: int, weight: Tensor) -> int:
    """Return with how many rows a product is fastest that needs `count`: a few in bfloat16 take longer than eight."""
    few = weight.device.type == "cpu" and weight.dtype == torch.bfloat16 and 2 <= count <= 7
    return 8 if few else count


def _joined(parameters: Sequence[Tensor]) -> Tensor:
    first = parameters[0]
    rows = [parameter.shape[0] for parameter in parameters]
    shape = (sum(rows), *first.shape[1:])
    offset = first.storage_offset()
    lie_together = all(
        parameter.untyped_storage().data_ptr() == first.untyped_storage().data_ptr()
        and parameter.storage_offset() == offset + sum(rows[:place]) * first[0].numel()
        for place, parameter in enumerate(parameters)
    )
    if lie_together:
        return torch.as_strided(first.data, shape, first.stride(), offset)
    whole = torch.cat([parameter.data for parameter in parameters])
    for parameter, part in zip(parameters, torch.split(whole, rows), strict=True):
        parameter.data = part
    return whole


def _bfloat16_linear(weight: Tensor, rows: Tensor) -> Tensor:
    """One row is a product of matrix and vector, which has a faster kernel than the product of matrices."""
    return torch.mv(weight, rows[0])[None] if rows.shape[0] == 1 else F.linear(rows, weight)


def _squared_relu(widened: Tensor) -> Tensor:
    return widened.relu_().square_()


def _scalar(value: float, like: Tensor) -> Tensor:
    return torch.tensor(value, dtype=torch.float32, device=like.device)
