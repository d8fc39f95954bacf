"""Matrices in the order in which the processor reads them fastest.

A product with one vector takes as long as the matrix takes to come from memory, if nothing else gets in its way. oneDNN
lays a matrix out in the blocks in which it is read, and then a step takes a fifth to a third less time than over rows
that lie one after another, with one vector and with a few. The numbers are the same.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from nanochat.model.quantization import is_matrix

# As many rows as oneDNN's kernel for AVX-512 holds in registers. With them it reads a matrix a sixth faster than with
# one row, and than with seven or more; whoever has fewer asks for so many and drops the rest.
FULL_ROWS = 6


class PackedLinear(nn.Module):
    """A linear map whose `weight` lies as oneDNN wants it; it is saved as the matrix it was."""

    weight: Tensor
    bias: Tensor | None

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.out_features, self.in_features = weight.shape
        # Laid out for one row, which suits a few as well.
        self.register_buffer("weight", torch.ops.mkldnn._reorder_linear_weight(weight.detach(), 1))
        self.register_buffer("bias", None if bias is None else bias.detach())

    def forward(self, inputs: Tensor) -> Tensor:
        """Map (…, in_features) to (…, out_features)."""
        outputs: Tensor = torch.ops.mkldnn._linear_pointwise(inputs, self.weight, self.bias, "none", [], "")
        return outputs

    def even_rows(self, count: int) -> int:
        """Return with how many rows this map is fastest when it needs `count`."""
        return max(count, FULL_ROWS) if count and self.weight.dtype == torch.bfloat16 and _has_plain_avx512() else count

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        destination[prefix + "weight"] = self.weight.to_dense()


def pack(model: nn.Module) -> None:
    """Put packed maps in the place of the large matrices, one by one; the tensors they were stay as they are.

    Does nothing where that would not be faster or not possible: off the processor, and for types it has no blocks for.
    """
    for place, module in list(model.named_modules()):
        if is_matrix(place, module) and _packs(module.weight):
            model.set_submodule(place, PackedLinear(module.weight, module.bias))


def _packs(weight: Tensor) -> bool:
    if weight.device.type != "cpu" or not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    if weight.dtype == torch.bfloat16:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return weight.dtype == torch.float32


@cache
def _has_plain_avx512() -> bool:
    """Say whether that kernel runs here: with units for matrices there is another one."""
    return torch.backends.cpu.get_cpu_capability() == "AVX512" and not torch.cpu._is_amx_tile_supported()
