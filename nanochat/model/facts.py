"""What a loaded model is, counted from its tensors: the numbers of the model card, none of them typed in.

Three numbers tell what a decoder costs. Its weights are read once for every token, so their bytes bound the speed. Each
weight of a matrix is multiplied once and added once, so a token costs two FLOPs a weight, and attention some more that
grow with what came before. And each token leaves a key and a value in every layer, which stay in memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

from torch import Tensor, nn

from nanochat.model.attention import NanoChatAttention
from nanochat.model.cache import cache_type
from nanochat.model.configuration_nanochat import NanoChatConfig, head_size
from nanochat.model.modeling_nanochat import NanoChatForCausalLM
from nanochat.model.quantization import quantization_of


@dataclass(frozen=True, slots=True)
class PartFacts:
    """A part of the model and what it is made of; `parameters` and `size_bytes` are those of all of it."""

    name: str
    parameters: int
    size_bytes: int
    parts: tuple[PartFacts, ...] = ()

    def part(self, name: str) -> PartFacts:
        """Return the part of that name directly below. Raises KeyError."""
        for part in self.parts:
            if part.name == name:
                return part
        raise KeyError(name)


@dataclass(frozen=True, slots=True)
class TensorFacts:
    """One tensor as it lies in memory, by the name it is saved under."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    parameters: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class LayerFacts:
    """One layer of the drawing: how far back it sees, itself included, and whether it looks up values by token."""

    parameters: int
    window_tokens: int
    value_embedding: bool


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """A model in numbers. `whole` is a tree: embedding, attention, mlp, head, and other where there is more.

    `tensors` is the same once more, tensor by tensor. `quantized` says how the large matrices are stored, when not in
    `dtype`; it is empty otherwise.
    """

    whole: PartFacts
    layers: tuple[LayerFacts, ...]
    dtype: str
    quantized: str
    hidden_size: int
    intermediate_size: int
    heads: int
    kv_heads: int
    head_size: int
    vocabulary: int
    context_tokens: int
    matrix_parameters: int
    kv_bytes_a_token: int
    additions: tuple[str, ...]
    tensors: tuple[TensorFacts, ...]

    @property
    def parameters(self) -> int:
        return self.whole.parameters

    @property
    def size_bytes(self) -> int:
        return self.whole.size_bytes

    def flops_a_token(self, position: int) -> int:
        """Return the floating-point operations of the matrix products for the token at this position, 0 the first.

        Twice each weight of a matrix; and for each token seen, by each channel of each head, twice for its score and
        twice for its share of the sum.
        """
        seen = sum(min(position + 1, layer.window_tokens) for layer in self.layers)
        return 2 * self.matrix_parameters + 4 * self.heads * self.head_size * seen


def facts_of(model: NanoChatForCausalLM) -> ModelFacts:
    """Count a model. It may lie on any device, the meta device included."""
    config = model.config
    heads, kv_heads, channels = config.num_attention_heads, config.num_key_value_heads, head_size(config)
    dtype, kept = model.dtype, cache_type(model.dtype, model.device)
    return ModelFacts(
        whole=_whole(model),
        layers=tuple(_layer(layer, config) for layer in model.model.layers),
        dtype=str(dtype).removeprefix("torch."),
        quantized=quantization_of(model),
        hidden_size=config.hidden_size,
        intermediate_size=config.intermediate_size,
        heads=heads,
        kv_heads=kv_heads or heads,
        head_size=channels,
        vocabulary=config.vocab_size,
        context_tokens=config.max_position_embeddings,
        matrix_parameters=sum(_matrix_parameters(module) for module in model.modules()),
        kv_bytes_a_token=2 * (kv_heads or heads) * channels * kept.itemsize * config.num_hidden_layers,
        additions=_additions(config),
        tensors=tuple(_saved_tensors(model)),
    )


def _whole(model: NanoChatForCausalLM) -> PartFacts:
    """Sort every tensor that is saved into the part it belongs to, one that is shared into the first."""
    sizes: dict[str, dict[str, tuple[int, int]]] = {}
    for tensor in _saved_tensors(model):
        part, piece = _place(tensor.name)
        parameters, size_bytes = sizes.setdefault(part, {}).get(piece, (0, 0))
        sizes[part][piece] = (parameters + tensor.parameters, size_bytes + tensor.size_bytes)
    order = ("embedding", "attention", "mlp", "head", "other")
    return _sum("model", [_part(name, sizes[name]) for name in order if name in sizes])


def _saved_tensors(model: nn.Module) -> Iterator[TensorFacts]:
    """Yield parameters and saved buffers, each tensor once: quantized layers keep their weights in buffers."""
    # Not asked of the state dict: of packed matrices that would be a copy of the whole model.
    buffers = (
        (f"{place}.{name}", buffer)
        for place, module in model.named_modules()
        for name, buffer in module.named_buffers(recurse=False)
        if name not in module._non_persistent_buffers_set
    )
    for name, tensor in (*model.named_parameters(), *buffers):
        owner, _, leaf = name.rpartition(".")
        parameters = _parameters(model.get_submodule(owner), leaf, tensor)
        dtype = str(tensor.dtype).removeprefix("torch.")
        yield TensorFacts(name, tuple(tensor.shape), dtype, parameters, tensor.nbytes)


def _parameters(owner: nn.Module, leaf: str, tensor: Tensor) -> int:
    """Count the parameters a tensor stands for: whole numbers may lie two in a byte, scales only go with them."""
    if leaf == "scales":
        return 0
    return tensor.numel() if tensor.is_floating_point() else _matrix_parameters(owner)


def _place(name: str) -> tuple[str, str]:
    """Return part and piece of a tensor: `model.layers.3.self_attn.q_proj.weight` is attention, q_proj."""
    words = name.split(".")
    if words[0] == "lm_head":
        return "head", "lm_head"
    if words[1] == "embed_tokens":
        return "embedding", "embed_tokens"
    if words[1] == "layers" and words[3] in ("self_attn", "mlp") and words[4] != "value_embedding":
        return ("attention" if words[3] == "self_attn" else "mlp"), words[4]
    known = ("value_embedding", "smear", "backout")
    return "other", next((word for word in words if word in known), words[3] if words[1] == "layers" else words[1])


def _part(name: str, pieces: dict[str, tuple[int, int]]) -> PartFacts:
    parts = [PartFacts(piece, *size) for piece, size in pieces.items()]
    # A part of a single piece is that piece.
    return _sum(name, parts if len(parts) > 1 or name == "other" else [], parts)


def _sum(name: str, parts: list[PartFacts], counted: list[PartFacts] | None = None) -> PartFacts:
    counted = parts if counted is None else counted
    parameters = sum(part.parameters for part in counted)
    return PartFacts(name, parameters, sum(part.size_bytes for part in counted), tuple(parts))


def _layer(layer: nn.Module, config: NanoChatConfig) -> LayerFacts:
    attention = cast(NanoChatAttention, layer.self_attn)
    return LayerFacts(
        parameters=sum(tensor.parameters for tensor in _saved_tensors(layer)),
        window_tokens=attention.sliding_window or config.max_position_embeddings,
        value_embedding=attention.value_embedding is not None,
    )


def _matrix_parameters(module: nn.Module) -> int:
    """Return the weights a module multiplies by: those of a linear map, quantized or not; a table is only looked up."""
    return getattr(module, "in_features", 0) * getattr(module, "out_features", 0)


def _additions(config: NanoChatConfig) -> tuple[str, ...]:
    """Name what the current architecture adds and this model has."""
    present = {
        "value embeddings": config.value_embeddings,
        "sliding windows": config.sliding_window is not None,
        "residual mixes": config.residual_lambdas,
        "smear": config.smear,
        "backout": config.backout,
    }
    return tuple(name for name, has in present.items() if has)
