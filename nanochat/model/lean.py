"""One layer's arithmetic with nothing in it that only training needs.

Writing an answer is many small steps, and in a small step most of the time is the cost of asking for an operation, not
of doing it. So here are the layer's own weights under fewer operations: queries, keys and values come from one matrix,
norm and rotation are put together from parts that read their input once. The stream is kept in float32, whatever the
weights are, and tests hold each piece to the module it stands for.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeAlias, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nanochat.model.joined import joined
from nanochat.model.modeling_nanochat import NanoChatDecoderLayer, NanoChatForCausalLM
from nanochat.model.packing import PackedLinear
from nanochat.model.quantization import KERNEL_TYPE, QuantizedLinear, join

Linear: TypeAlias = Callable[[Tensor], Tensor]


class LeanLayer:
    """One decoder layer over tokens laid end to end, shape (tokens, hidden_size)."""

    def __init__(self, layer: NanoChatDecoderLayer, dtype: torch.dtype, device: torch.device) -> None:
        """`dtype` is what the layer's maps take in; see `input_type`."""
        attention, mlp = layer.self_attn, layer.mlp
        self.device = device
        self.window = attention.sliding_window
        self.scaling = attention.scaling
        self.key_heads = attention.k_proj.out_features // attention.head_dim
        self._layer = layer
        self._attention = attention
        self._project = lean_map(attention.q_proj, attention.k_proj, attention.v_proj)
        self._mix, self._widen, self._narrow = lean_map(attention.o_proj), lean_map(mlp.fc1), lean_map(mlp.fc2)
        self._activate = _squared_relu if layer.self_attn.config.hidden_act == "relu2" else mlp.activation_fn
        self._dtype = dtype
        self._norm = partial(normalized, eps=_scalar(layer.input_layernorm.eps, device))
        self._head_norm = partial(normalized, eps=_scalar(attention.q_norm.eps, device))

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
        if (looked_up := self._attention.value_embedding) is not None:
            seen = normed[None].to(looked_up.table.weight.dtype)
            values = values + looked_up(ids[None], seen)[0].transpose(0, 1)
        return torch.cat((turned, values), dim=1)

    def add(self, hidden: Tensor, gathered: Tensor) -> Tensor:
        """Return the stream with what attention gathered, (tokens, heads * head_dim), and what the MLP makes of it."""
        hidden = hidden + self._mix(gathered.to(self._dtype))
        widened: Tensor = self._activate(self._widen(self._norm(hidden).to(self._dtype)))
        return hidden + self._narrow(widened.to(self._dtype))


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


def lean_map(*maps: nn.Module) -> Linear:
    """Return the fastest way to apply these maps to the same (tokens, features), their outputs side by side."""
    if all(_is_plain(single) for single in maps):
        return lean_linear(*fused(*cast("tuple[nn.Linear, ...]", maps)))
    if (whole := join(maps)) is not None:
        return whole.of_rows()
    # Called as functions: what torch's modules do around a call takes as long as a small product.
    applied = [single.forward if type(single) is PackedLinear else single for single in maps]
    if len(applied) == 1:
        return applied[0]
    return lambda rows: torch.cat([apply(rows) for apply in applied], dim=-1)


def lean_linear(weight: Tensor, bias: Tensor | None = None) -> Linear:
    """Return the fastest way to apply this matrix to (tokens, features)."""
    if weight.device.type == "cpu" and weight.dtype == torch.bfloat16 and bias is None:
        return partial(_bfloat16_linear, weight)
    return partial(F.linear, weight=weight, bias=bias)


def input_type(model: NanoChatForCausalLM) -> torch.dtype:
    """Return the type of numbers in which the model's maps take what they multiply."""
    return KERNEL_TYPE if isinstance(model.lm_head, QuantizedLinear) else model.dtype


def fused(*maps: nn.Linear) -> tuple[Tensor, Tensor | None]:
    """Return weight and bias of the maps as one, and make the maps views of it, so that nothing is held twice."""
    weight = joined([single.weight for single in maps])
    biases = [single.bias for single in maps if single.bias is not None]
    return weight, joined(biases) if biases else None


def even_rows(count: int, single: nn.Module) -> int:
    """Return with how many rows this map is fastest when it needs `count`; more than `count` in bfloat16 only."""
    if type(single) is PackedLinear:
        return single.even_rows(count)
    if not 2 <= count <= 7 or not _is_plain(single):
        return count
    weight = cast(nn.Linear, single).weight
    return 8 if weight.device.type == "cpu" and weight.dtype == torch.bfloat16 else count


def _is_plain(single: nn.Module) -> bool:
    """Say whether a map is its weight and nothing else: libraries that quantize put their own in its place."""
    return type(single) is nn.Linear and type(single.weight) is nn.Parameter


def _bfloat16_linear(weight: Tensor, rows: Tensor) -> Tensor:
    """One row is a product of matrix and vector, which has a faster kernel than the product of matrices."""
    return torch.mv(weight, rows[0])[None] if rows.shape[0] == 1 else F.linear(rows, weight)


def _squared_relu(widened: Tensor) -> Tensor:
    return widened.relu_().square_()


def _scalar(value: float, device: torch.device) -> Tensor:
    return torch.tensor(value, dtype=torch.float32, device=device)
