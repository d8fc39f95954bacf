"""How fast this machine reads memory: the limit of every decoder, since a token reads each weight once."""

from __future__ import annotations

import time

import torch
from torch import Tensor

from nanochat.model.facts import facts_of
from nanochat.model.modeling_nanochat import NanoChatForCausalLM
from nanochat.model.threads import apart, in_step_thread

# Far more than any cache of a processor holds.
READ_BYTES = 512 * 2**20


@apart
def memory_to_read(device: torch.device, size_bytes: int = READ_BYTES) -> Tensor:
    """Return memory that has been written, so that reading it is all that is left to do."""
    return torch.ones(size_bytes // 4, device=device)


def bytes_per_second(memory: Tensor) -> float:
    """Read the memory once with all threads, in the way that costs least beside reading: the search for a maximum."""
    return in_step_thread(_bytes_per_second, memory)


def _bytes_per_second(memory: Tensor) -> float:
    started = time.perf_counter()
    memory.amax().item()  # .item() waits for the device
    return memory.nbytes / (time.perf_counter() - started)


def bytes_a_token(model: NanoChatForCausalLM) -> int:
    """Return the bytes of weights that one token reads: all but the embedding, of which it looks up one row."""
    whole = facts_of(model).whole
    return whole.size_bytes - whole.part("embedding").size_bytes
