"""Weights in 8 or 4 bits, since a processor multiplies faster than its memory delivers.

Every weight of every matrix is read once for each token, so half the bytes are nearly twice the tokens. A weight is
stored as a small whole number, and its neighbours share what turns the numbers back: in int8 each row of a matrix has
one scale, in int4 each group of weights in a row has a scale and a middle.

Only the large matrices change, those of attention, MLP and head. Tables that are looked up stay as they are: a token
reads one row of them. Vectors stay as they are too; torch's kernels for this take them in bfloat16, and are many times
slower in float32.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nanochat.errors import CheckpointError
from nanochat.model.joined import joined

QUANTIZATIONS = ("none", "int8", "int4")
MATRICES = frozenset({"q_proj", "k_proj", "v_proj", "o_proj", "fc1", "fc2", "lm_head"})
# What torch's kernels multiply fastest, and their scales are in.
KERNEL_TYPE = torch.bfloat16
# Quantizing goes through float32; so many weights at a time, lest the largest matrix need twice its own memory.
WEIGHTS_AT_ONCE = 2**20


class QuantizedLinear(nn.Module, ABC):
    """A linear map whose weights are `numbers` and `scales`; what these are is for the subclass to say."""

    kind: ClassVar[str]
    numbers: Tensor
    scales: Tensor
    bias: Tensor | None

    def __init__(self, numbers: Tensor, scales: Tensor, bias: Tensor | None, in_features: int) -> None:
        super().__init__()
        self.in_features, self.out_features = in_features, numbers.shape[0]
        self.register_buffer("numbers", numbers)
        self.register_buffer("scales", scales)
        self.register_buffer("bias", bias)

    @classmethod
    def of(cls, weight: Tensor, bias: Tensor | None = None) -> Self:
        """Quantize a matrix, (out_features, in_features), which must fit."""
        # Whole blocks of rows, so that what is packed block by block can be joined.
        rows = max(1, WEIGHTS_AT_ONCE // weight.shape[1] // Int4Linear.block_rows) * Int4Linear.block_rows
        with torch.no_grad():
            pieces = [cls._quantized(part.float()) for part in torch.split(weight, rows)]
            scales = torch.cat([piece[1] for piece in pieces], dim=cls._scale_axis)
            return cls(torch.cat([piece[0] for piece in pieces]), scales, bias, weight.shape[1])

    @classmethod
    @abstractmethod
    def fits(cls, weight: Tensor) -> bool:
        """Say whether a matrix of this shape can be stored so."""

    @classmethod
    @abstractmethod
    def join(cls, maps: Sequence[Self]) -> Self | None:
        """Return one map that does what all of these do, sharing its memory with them; None where that cannot be."""

    def forward(self, inputs: Tensor) -> Tensor:
        """Map (…, in_features) to (…, out_features) of the same type."""
        outputs = self.of_rows()(inputs.reshape(-1, self.in_features).to(KERNEL_TYPE))
        return outputs.to(inputs.dtype).view(*inputs.shape[:-1], self.out_features)

    def of_rows(self) -> Callable[[Tensor], Tensor]:
        """Return what maps (rows, in_features), in the kernel's type, to (rows, out_features).

        It has its tensors at hand: to look them up in a module, call by call, takes as long as a small product.
        """
        multiply, bias = self._multiplier(), self.bias
        return multiply if bias is None else lambda rows: multiply(rows) + bias

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"

    # Along which axis of the scales the rows of the matrix lie.
    _scale_axis: ClassVar[int]

    @classmethod
    @abstractmethod
    def _quantized(cls, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Return numbers and scales of some rows of a matrix, in float32."""

    @abstractmethod
    def _multiplier(self) -> Callable[[Tensor], Tensor]:
        """Return what multiplies (rows, in_features), in the kernel's type, by the matrix."""


class Int8Linear(QuantizedLinear):
    """numbers: int8 from -127 to 127, (out_features, in_features). scales: float32, (out_features,).

    A weight is number * scale. The kernel could take the scales along. But then the other way to multiply, for many
    rows, would round at other places, and an answer would change with how many others are made beside it. So both
    multiply by the numbers alone, which bfloat16 holds exactly, and the scales come after.
    """

    kind = "int8"
    _ones: Tensor
    # Up to so many rows torch's kernel is the fastest; above, widening the matrix and multiplying as usual.
    few_rows = 24
    # The kernel reads so many weights of a row at a time, and beyond the end of one with another length.
    stride = 16
    _scale_axis = 0

    def __init__(self, numbers: Tensor, scales: Tensor, bias: Tensor | None, in_features: int) -> None:
        super().__init__(numbers, scales, bias, in_features)
        self.register_buffer("_ones", torch.ones(len(scales), dtype=KERNEL_TYPE), persistent=False)

    @classmethod
    def fits(cls, weight: Tensor) -> bool:
        """Every matrix does."""
        return weight.dim() == 2

    @classmethod
    def join(cls, maps: Sequence[Self]) -> Self | None:
        numbers = joined([single.numbers for single in maps])
        scales = joined([single.scales for single in maps])
        return cls(numbers, scales, _joined_bias(maps), maps[0].in_features)

    @classmethod
    def _quantized(cls, weight: Tensor) -> tuple[Tensor, Tensor]:
        scales = _no_zeros(weight.abs().amax(dim=1) / 127)
        return (weight / scales[:, None]).round_().clamp_(-127, 127).to(torch.int8), scales

    def _multiplier(self) -> Callable[[Tensor], Tensor]:
        numbers, scales, ones = self.numbers, self.scales, self._ones
        few = self.few_rows if self.in_features % self.stride == 0 else 0

        def multiply(rows: Tensor) -> Tensor:
            if rows.shape[0] <= few:
                return torch._weight_int8pack_mm(rows, numbers, ones) * scales
            return F.linear(rows, numbers.to(KERNEL_TYPE)) * scales

        return multiply


class Int4Linear(QuantizedLinear):
    """numbers: 0 to 15, two to a byte, in the kernel's own order. scales: (groups, out_features, 2), scale and middle.

    A weight is (number - 8) * scale + middle.
    """

    kind = "int4"
    # Neighbours in a row that share a scale. 128 are 7 % faster, and lose more.
    group = 32
    # The kernel keeps rows in blocks of so many; matrices can be joined where a block ends.
    block_rows = 64
    _scale_axis = 1

    @classmethod
    def fits(cls, weight: Tensor) -> bool:
        """Whole groups in a row, and rows by the sixteen."""
        return weight.dim() == 2 and weight.shape[0] % 16 == 0 and weight.shape[1] % cls.group == 0

    @classmethod
    def join(cls, maps: Sequence[Self]) -> Self | None:
        if any(single.out_features % cls.block_rows for single in maps[:-1]):
            return None
        numbers = joined([single.numbers for single in maps])
        scales = torch.cat([single.scales for single in maps], dim=1)
        for single, view in zip(
            maps, torch.split(scales, [single.out_features for single in maps], dim=1), strict=True
        ):
            single.scales = view
        return cls(numbers, scales, _joined_bias(maps), maps[0].in_features)

    @classmethod
    def _quantized(cls, weight: Tensor) -> tuple[Tensor, Tensor]:
        groups = torch.unflatten(weight, 1, (-1, cls.group))
        lowest, highest = groups.aminmax(dim=2)
        scales = _no_zeros((highest - lowest) / 15).to(KERNEL_TYPE)
        middles = (lowest + 8 * scales.float()).to(KERNEL_TYPE)
        numbers = (groups - middles.float()[..., None]).div_(scales.float()[..., None]).add_(8).round_().clamp_(0, 15)
        packed = torch.ops.aten._convert_weight_to_int4pack_for_cpu(numbers.flatten(1).to(torch.int32), 1)
        return packed, torch.stack((scales, middles), dim=2).transpose(0, 1).contiguous()

    def _multiplier(self) -> Callable[[Tensor], Tensor]:
        # One of a joined matrix has its scales between those of the others.
        numbers, group, scales = self.numbers, self.group, self.scales.contiguous()

        def multiply(rows: Tensor) -> Tensor:
            product: Tensor = torch.ops.aten._weight_int4pack_mm_for_cpu(rows, numbers, group, scales)
            return product

        return multiply


KINDS: dict[str, type[QuantizedLinear]] = {"int8": Int8Linear, "int4": Int4Linear}


def quantize(model: nn.Module, name: str) -> None:
    """Put quantized maps in the place of the large matrices, one by one; the tensors they were stay as they are.

    A matrix whose shape int4 does not take becomes int8. Raises CheckpointError for a name that is not known.
    """
    check_name(name)
    if name == "none":
        return
    for place, module in list(model.named_modules()):
        if is_matrix(place, module):
            model.set_submodule(place, quantized(module.weight, module.bias, name))


def quantized(weight: Tensor, bias: Tensor | None, name: str) -> QuantizedLinear:
    """Return the map of a matrix, quantized as named or, where its shape does not fit, in int8."""
    kind = KINDS[name] if KINDS[name].fits(weight) else Int8Linear
    return kind.of(weight.detach(), None if bias is None else bias.detach().to(KERNEL_TYPE))


def is_matrix(place: str, module: Any) -> bool:
    """Say whether the module of this name is one of the large matrices, as it was trained."""
    return type(module) is nn.Linear and place.rpartition(".")[2] in MATRICES


def check_name(name: str) -> None:
    """Raises CheckpointError, which names the quantizations there are."""
    if name not in QUANTIZATIONS:
        raise CheckpointError(f"{name[:100]!r} is not a quantization: use {', '.join(QUANTIZATIONS)}.")


def quantization_of(model: nn.Module) -> str:
    """Say how the matrices are stored: empty, "int8", "int4", or "int4, 2 of 14 matrices int8" where not all fit."""
    kinds = Counter(module.kind for module in model.modules() if isinstance(module, QuantizedLinear))
    if kinds["int4"] and kinds["int8"]:
        return f"int4, {kinds['int8']} of {kinds.total()} matrices int8"
    return next(iter(kinds), "")


def refuse_quantized(model: nn.Module) -> None:
    """Raises CheckpointError for a model that can only be run: what it was rounded from is gone."""
    if quantization_of(model):
        raise CheckpointError("A quantized model is not saved: load the model without quantization, and save that.")


def join(maps: Sequence[nn.Module]) -> QuantizedLinear | None:
    """Return one quantized map in place of several with the same input; None where they are not all of one kind."""
    kind = type(maps[0])
    if not issubclass(kind, QuantizedLinear) or any(type(single) is not kind for single in maps):
        return None
    return kind.join(maps)  # type: ignore[arg-type]


def _joined_bias(maps: Iterable[QuantizedLinear]) -> Tensor | None:
    biases = [single.bias for single in maps if single.bias is not None]
    return torch.cat(biases) if biases else None


def _no_zeros(scales: Tensor) -> Tensor:
    """Weights that are all alike have no extent; any scale says as much of them as another."""
    return torch.where(scales == 0, 1.0, scales)
