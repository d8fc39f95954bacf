"""The whole model in the lean arithmetic of its layers: all of a pass but attention, which is for the caller to gather.

A pass that reads prompts of any length and a step of fixed shapes differ only in how a token finds the keys and values
of those before it. Everything else is here, once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from nanochat.model.lean import LeanLayer, even_rows, input_type, lean_map, normalized, signed_sine
from nanochat.model.modeling_nanochat import NanoChatForCausalLM, device_of

# Layer, its number and the stream as it takes it up -> what attention gathers, (tokens, heads * head_dim).
Gather: TypeAlias = Callable[[LeanLayer, int, Tensor], Tensor]


@dataclass(frozen=True, slots=True)
class Tables:
    """What does not change from pass to pass, on one device: turns by position, broadcast over heads."""

    cos: Tensor
    sin: Tensor
    eps: Tensor

    @classmethod
    def of(cls, model: NanoChatForCausalLM, context: int, device: torch.device) -> Tables:
        rotary = model.model.rotary_emb
        cos, sin = rotary(torch.empty(0, device=device_of(rotary)), torch.arange(context)[None].to(device_of(rotary)))
        eps = torch.tensor(model.model.norm.eps, device=device)
        return cls(cos[0, :, None].to(device), signed_sine(sin)[0, :, None].to(device), eps)


class LeanModel:
    """Embedding, layers and head over tokens laid end to end. The model stays where it is now.

    Its layers may lie on several devices: the stream goes from one to the next.
    """

    def __init__(self, model: NanoChatForCausalLM, context: int) -> None:
        self.config = model.config
        self._trunk = model.model
        self._dtype = input_type(model)
        self.layers = [LeanLayer(layer, self._dtype, device_of(layer)) for layer in model.model.layers]
        self._head, self._head_map = model.lm_head, lean_map(model.lm_head)
        self.start, self.end = device_of(model.model.embed_tokens), device_of(model.lm_head)
        places = {self.start, self.end, *(layer.device for layer in self.layers)}
        self.tables = {place: Tables.of(model, context, place) for place in places}

    @property
    def smears(self) -> bool:
        """Whether a token takes up something of the one before it."""
        return self._trunk.smear is not None

    def even_rows(self, count: int) -> int:
        """Return with how many rows the matrices are fastest when `count` are needed."""
        return even_rows(count, self._head)

    def embed(self, ids: Tensor) -> Tensor:
        """Return the stream as it begins, float32 of shape (tokens, hidden_size)."""
        return normalized(self._trunk.embed_tokens(ids).float(), self.tables[self.start].eps)

    def smeared(self, embedded: Tensor, previous: Tensor, follows: Tensor) -> Tensor:
        """Add to each token a share of the one before: `previous` are those ids, `follows` says where there is one."""
        before = self.embed(previous) * follows[:, None]
        scale = self._trunk.smear.scale
        smeared: Tensor = self._trunk.smear(embedded.to(scale), before.to(scale))
        return smeared.to(embedded)

    def through(self, hidden: Tensor, gather: Gather) -> Tensor:
        """Take the stream through all layers and to where the head is."""
        start = halfway = hidden
        device = self.start
        for index, layer in enumerate(self.layers):
            if layer.device != device:
                device = layer.device
                hidden, start = hidden.to(device), start.to(device)
            hidden = layer.start(hidden, start)
            hidden = layer.add(hidden, gather(layer, index, hidden))
            if index == len(self.layers) // 2:
                halfway = hidden
        if self._trunk.backout is not None:
            there = self._trunk.backout.scale.device
            hidden = self._trunk.backout(hidden.to(there), halfway.to(there))
        return hidden.to(self.end)

    def logits(self, hidden: Tensor, count: int | None = None) -> Tensor:
        """Return what the head makes of the first `count` rows of the stream, float32 of shape (rows, vocabulary)."""
        normed = normalized(hidden, self.tables[self.end].eps).to(self._dtype)
        logits = self._head_map(normed)[:count].float()[:, : self.config.vocab_size]
        cap = self.config.final_logit_softcapping
        return logits if cap is None else logits.div(cap).tanh_().mul_(cap)
