"""Tensors laid end to end in one storage, each a view of its part: several matrices that a step reads as one."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def joined(parts: Sequence[Tensor]) -> Tensor:
    """Return the tensors as one, along their first axis, and make them views of it, so that nothing is held twice."""
    first = parts[0]
    rows = [part.shape[0] for part in parts]
    if _lie_together(parts):
        return torch.as_strided(first.data, (sum(rows), *first.shape[1:]), first.stride(), first.storage_offset())
    whole = torch.cat([part.data for part in parts])
    for part, view in zip(parts, torch.split(whole, rows), strict=True):
        part.data = view
    return whole


def _lie_together(parts: Sequence[Tensor]) -> bool:
    """Say whether this was done before: an engine may be made twice of one model."""
    first = parts[0]
    offset = first.storage_offset()
    for part in parts:
        same = part.untyped_storage().data_ptr() == first.untyped_storage().data_ptr()
        if not same or part.storage_offset() != offset:
            return False
        offset += part.numel()
    return True
