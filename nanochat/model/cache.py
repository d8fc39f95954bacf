"""Keys and values of several conversations, kept between requests.

To read a token, attention looks at a key and a value of every token before it. They depend on nothing that comes later,
so a text that was read once need not be read again: a `Slot` remembers the ids that were read and, in its row of the
cache, their keys and values. The next turn of a chat begins with all of the turn before, finds it in a slot, and only
the new words are computed.

All memory is claimed at the start and never grows.
"""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod

import torch
from torch import Tensor

from nanochat.model.configuration_nanochat import NanoChatConfig
from nanochat.model.modeling_nanochat import NanoChatForCausalLM, device_of, head_size


@dataclass(slots=True, eq=False)
class Slot:
    """One row of the cache: the ids that were read into it are exactly those whose keys and values it holds."""

    index: int
    ids: list[int] = field(default_factory=list)
    busy: bool = False
    last_used: int = 0


class SlotCache:
    """Keys and values, one tensor of shape (slots, 2 * heads, context, head_dim) for each layer; keys come first."""

    def __init__(
        self,
        config: NanoChatConfig,
        slots: int,
        context: int,
        *,
        dtype: torch.dtype,
        device: torch.device | Sequence[torch.device],
    ) -> None:
        """`dtype` is how they are kept; `cache_type` says which one suits a model.

        `device`: where, for all layers or for each; see `layer_devices`.
        """
        layers = config.num_hidden_layers
        devices = [device] * layers if isinstance(device, torch.device) else device
        heads = config.num_key_value_heads or config.num_attention_heads
        shape = (slots, 2 * heads, context, head_size(config))
        self.layers = [_unread(shape, dtype, place) for place in devices]
        self.slots = tuple(Slot(index) for index in range(slots))
        self.context = context
        self._uses = 0

    @property
    def size_bytes(self) -> int:
        """Memory of all slots when they are full."""
        return sum(tensor.nbytes for tensor in self.layers)

    def take(self, prompt: Sequence[int]) -> Slot | None:
        """Claim the idle slot that saves this prompt most work, cut to what it shares with it; None if all are busy.

        That is the slot with the longest common beginning, the least recently used one where none has any. A slot that
        would lose more than it gives keeps what it has, and its beginning is copied into the least recently used one,
        and so is that of a busy slot: a retry or a second branch of a chat starts where the paths part.
        """
        idle = [slot for slot in self.slots if not slot.busy]
        if not idle:
            return None
        shared = {slot.index: reusable_length(slot.ids, prompt) for slot in self.slots}
        taken = max(idle, key=lambda slot: (shared[slot.index], -slot.last_used))
        if 2 * shared[taken.index] < len(taken.ids):
            taken = min(idle, key=lambda slot: slot.last_used)
        source = max(self.slots, key=lambda slot: shared[slot.index])
        self._cut(taken, shared[taken.index])
        if shared[source.index] > shared[taken.index]:
            self._copy(source, taken, shared[source.index])
        self._uses += 1
        taken.busy, taken.last_used = True, self._uses
        return taken

    def release(self, slot: Slot) -> None:
        """Make the slot idle. It keeps what it read for whoever comes next."""
        slot.busy = False

    def forget(self, slot: Slot) -> None:
        """Drop what was read into the slot, because its numbers are not to be trusted."""
        self._cut(slot, 0)

    def _cut(self, slot: Slot, length: int) -> None:
        del slot.ids[length:]

    @torch.inference_mode()
    def _copy(self, source: Slot, target: Slot, length: int) -> None:
        for tensor in self.layers:
            tensor[target.index, :, :length] = tensor[source.index, :, :length]
        target.ids[:] = source.ids[:length]


def _unread(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return memory for keys and values; on a processor the system hands it out page by page, as tokens come.

    Small pages: on huge ones a first token would claim and clear its whole slot, 400 MB of d20, a second's work.
    """
    if device.type != "cpu":
        return torch.empty(shape, dtype=dtype, device=device)
    size = prod(shape) * dtype.itemsize
    # Private: a process that is forked must not write into its parent's chats.
    flags = {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS} if hasattr(mmap, "MAP_PRIVATE") else {}
    return torch.frombuffer(mmap.mmap(-1, size, **flags), dtype=dtype).view(shape)


def cache_type(weights: torch.dtype, device: torch.device) -> torch.dtype:
    """Return the type in which attention is fastest: torch's CPU kernel takes 7 times as long in bfloat16."""
    return torch.float32 if device.type == "cpu" else weights


def layer_devices(model: NanoChatForCausalLM) -> list[torch.device]:
    """Return where each layer is: what it remembers of a token is kept where it looks for it."""
    return [device_of(layer) for layer in model.model.layers]


def reusable_length(cached: Sequence[int], prompt: Sequence[int]) -> int:
    """Count the leading prompt tokens whose keys and values need no recomputation.

    Never all of them: the last token runs again, since its logits choose the first reply token.
    Raises ValueError for an empty prompt.
    """
    if not prompt:
        raise ValueError("An empty prompt has no last token.")
    limit = min(len(cached), len(prompt) - 1)
    return next((place for place in range(limit) if cached[place] != prompt[place]), limit)
