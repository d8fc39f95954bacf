"""One pass through the model, written out so that what it passes through can be kept.

The model's own forward keeps nothing but its result, and hooks on it would also see what other conversations run
through the same modules at that moment. So the pass stands here once more, from the model's own modules: `read` keeps
for each layer the stream before and after its attention, and its keys. Everything else at one token follows from these
by the work of one decode step, which is what `layer_at` does.

A token sees only earlier ones, so one reading of a whole chat serves every token of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional as F

from nanochat.model.modeling_nanochat import NanoChatAttention, NanoChatDecoderLayer, NanoChatForCausalLM, rotate


@dataclass(frozen=True, slots=True, eq=False)
class LayerReading:
    """What a layer did with all tokens.

    before: the stream it starts from. middle: the stream after its attention. Both (length, hidden_size).
    keys: as queries are held against them, turned and normalised, (key-value heads, length, head_dim).
    """

    before: Tensor
    middle: Tensor
    keys: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """A text as one model read it. `start` is the normalised embedding, (length, hidden_size)."""

    model: NanoChatForCausalLM
    ids: tuple[int, ...]
    start: Tensor
    rope: tuple[Tensor, Tensor]
    layers: tuple[LayerReading, ...]

    @property
    def size_bytes(self) -> int:
        tensors = [tensor for layer in self.layers for tensor in (layer.before, layer.middle, layer.keys)]
        return sum(tensor.nbytes for tensor in tensors)


@dataclass(frozen=True, slots=True, eq=False)
class LayerAt:
    """What a layer did at one token: vectors of hidden_size, and the activations inside the MLP.

    before + attended is the stream after attention; with `computed`, what the MLP adds, it is `after`.
    """

    before: Tensor
    attended: Tensor
    activations: Tensor
    computed: Tensor
    after: Tensor


@torch.inference_mode()
def read(model: NanoChatForCausalLM, ids: tuple[int, ...]) -> Reading:
    """Pass a text through all layers and keep what `Reading` names. `ids` must not be empty."""
    trunk = model.model
    row = torch.tensor([ids], device=model.device)
    embedded = trunk.norm(trunk.embed_tokens(row))
    if trunk.smear is not None:
        embedded = trunk.smear(embedded, F.pad(embedded, (0, 0, 1, 0))[:, :-1])
    positions = torch.arange(len(ids), device=model.device)[None]
    rope = trunk.rotary_emb(embedded, positions)
    stream, layers = embedded, []
    for layer in trunk.layers:
        before = stream if layer.residual_mix is None else layer.residual_mix(stream, embedded)
        attended, keys = _attend(layer.self_attn, layer.input_layernorm(before), row, rope)
        middle = before + attended
        stream = middle + layer.mlp(layer.post_attention_layernorm(middle))
        layers.append(LayerReading(before[0], middle[0], keys[0]))
    return Reading(model, ids, embedded[0], rope, tuple(layers))


@torch.inference_mode()
def layer_at(reading: Reading, layer: int, place: int) -> LayerAt:
    """Compute one layer at one token of a text that was read."""
    kept, block = reading.layers[layer], block_of(reading, layer)
    middle = kept.middle[place]
    activations = block.mlp.activation_fn(block.mlp.fc1(block.post_attention_layernorm(middle)))
    computed = block.mlp.fc2(activations)
    return LayerAt(kept.before[place], middle - kept.before[place], activations, computed, middle + computed)


@torch.inference_mode()
def attention_at(reading: Reading, layer: int, place: int) -> Tensor:
    """Return how one token's heads divide their attention: (heads, place + 1), each row a sum of one.

    Where the layer sees only a window, what lies outside it has zero.
    """
    return _attention(reading, layer, slice(place, place + 1))[:, 0]


@torch.inference_mode()
def pattern_of(reading: Reading, layer: int, head: int, places: slice) -> Tensor:
    """Return how one head divided its attention for some tokens in a row: (tokens, places.stop), each row a sum of one.

    A token cannot see later ones: what lies to the right of it has zero.
    """
    return _attention(reading, layer, places)[head]


@torch.inference_mode()
def query_at(reading: Reading, layer: int, place: int) -> tuple[Tensor, Tensor]:
    """Return the queries of one token, (heads, head_dim): turned by RoPE, and then normalised as keys meet them."""
    turned, normed = _queries(reading, layer, slice(place, place + 1))
    return turned[:, 0], normed[:, 0]


@torch.inference_mode()
def raw_logits(reading: Reading, vectors: Tensor) -> Tensor:
    """Map directions of the stream (…, hidden_size) through the head: a score for each entry, before any softcap."""
    head = reading.model.lm_head
    scores: Tensor = head(vectors)[..., : reading.model.vocab_size].float()
    return scores


def softcapped(scores: Tensor, cap: float | None) -> Tensor:
    """Bend scores so that none leaves ±cap, as the model does."""
    return scores if cap is None else cap * torch.tanh(scores / cap)


def block_of(reading: Reading, layer: int) -> NanoChatDecoderLayer:
    """Return a layer of the model, counted from 0."""
    return cast(NanoChatDecoderLayer, reading.model.model.layers[layer])


def _queries(reading: Reading, layer: int, places: slice) -> tuple[Tensor, Tensor]:
    """Return queries of tokens in a row, (heads, tokens, head_dim): turned, and then normalised."""
    block = block_of(reading, layer)
    attention = block.self_attn
    seen = block.input_layernorm(reading.layers[layer].before[places])
    query = attention.q_proj(seen).view(1, len(seen), -1, attention.head_dim).transpose(1, 2)
    cos, sin = reading.rope
    turned = rotate(query, cos[:, places], sin[:, places])
    return turned[0], attention.q_norm(turned)[0]


def _attention(reading: Reading, layer: int, places: slice) -> Tensor:
    """Return how the heads divide their attention for tokens in a row: (heads, tokens, places.stop)."""
    attention = block_of(reading, layer).self_attn
    queries = _queries(reading, layer, places)[1]
    keys = reading.layers[layer].keys[:, : places.stop].repeat_interleave(attention.num_key_value_groups, dim=0)
    scores = (queries @ keys.transpose(1, 2)).float() * attention.scaling
    seen = _within(attention.sliding_window, places, scores.device)
    weights: Tensor = scores.masked_fill(~seen, -torch.inf).softmax(dim=-1)
    return weights


def _attend(
    attention: NanoChatAttention, seen: Tensor, ids: Tensor, rope: tuple[Tensor, Tensor]
) -> tuple[Tensor, Tensor]:
    """Return what attention adds for all tokens, and its keys."""
    length = seen.shape[1]
    heads_last = (1, length, -1, attention.head_dim)
    query = attention.q_norm(rotate(attention.q_proj(seen).view(heads_last).transpose(1, 2), *rope))
    keys = attention.k_norm(rotate(attention.k_proj(seen).view(heads_last).transpose(1, 2), *rope))
    values = attention.v_proj(seen).view(heads_last).transpose(1, 2)
    if attention.value_embedding is not None:
        values = values + attention.value_embedding(ids, seen)
    window = attention.sliding_window
    gathered = F.scaled_dot_product_attention(
        query,
        keys,
        values,
        attn_mask=None if window is None else _within(window, slice(0, length), seen.device),
        is_causal=window is None,
        scale=attention.scaling,
        enable_gqa=attention.num_key_value_groups > 1,
    )
    return attention.o_proj(gathered.transpose(1, 2).reshape(1, length, -1)), keys


def _within(window: int | None, places: slice, device: torch.device) -> Tensor:
    """Return which of the tokens up to `places.stop` each of `places` sees: the newest `window` of the earlier ones."""
    every = torch.arange(places.stop, device=device)
    distance = every[places, None] - every
    return (distance >= 0) & (distance < (places.stop if window is None else window))
