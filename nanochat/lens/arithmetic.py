"""Three small sums with a token's own numbers: how positions turn, how heads are normalised, how logits bend.

They are shown for one head: the token's query, and the key that this head looks at most.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from nanochat.lens.reading import Reading, attention_at, block_of, query_at, softcapped
from nanochat.model.modeling_nanochat import rotate

SHOWN_CHANNELS = 8
SHOWN_LOGITS = 5
# Both tokens moved this far on: their score must not notice.
MOVED_TOKENS = 7


@dataclass(frozen=True, slots=True)
class Turn:
    """One pair of channels at a place, before and after RoPE turned it by minus the angle (in radians)."""

    place: int
    angle: float
    before: tuple[float, float]
    after: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Rope:
    """A pair of channels of a query and of the key it looks at, turned for their two places.

    `score` is the product of the whole turned query and key; `moved_score` the same with both `moved_tokens` later.
    """

    pair: int
    query: Turn
    key: Turn
    score: float
    moved_score: float
    moved_tokens: int


@dataclass(frozen=True, slots=True)
class Norm:
    """The first channels of a vector before and after its norm, and the root mean square of all of them."""

    before: tuple[float, ...]
    after: tuple[float, ...]
    size_before: float
    size_after: float


@dataclass(frozen=True, slots=True)
class Match:
    """How one head came to look at one token: query and key normalised, their scaled product, the share it won."""

    layer: int
    head: int
    place: int
    query: Norm
    key: Norm
    scaling: float
    score: float
    weight: float
    rope: Rope


@dataclass(frozen=True, slots=True)
class Bent:
    """A logit before and after the softcap."""

    id: int
    raw: float
    capped: float


@dataclass(frozen=True, slots=True)
class Softcap:
    """The cap, if there is one, the range of all raw logits, and the best ones with the chosen one, best first."""

    cap: float | None
    lowest: float
    highest: float
    shown: tuple[Bent, ...]


def softcap(scores: Tensor, cap: float | None, chosen_id: int) -> Softcap:
    """Describe how the raw scores of one place, (vocabulary,), were bent."""
    best = scores.topk(min(SHOWN_LOGITS, len(scores))).indices.tolist()
    ids = best if chosen_id in best else [*best, chosen_id]
    bent = softcapped(scores, cap)
    shown = tuple(Bent(token_id, float(scores[token_id]), float(bent[token_id])) for token_id in ids)
    return Softcap(cap, float(scores.min()), float(scores.max()), shown)


@torch.inference_mode()
def match(reading: Reading, place: int, layer: int, head: int) -> Match:
    """Work through the product that makes a head of layer `layer`, from 0, look where it looks most."""
    weights = attention_at(reading, layer, place)[head]
    target = int(weights.argmax())
    attention = block_of(reading, layer).self_attn
    key_head = head // attention.num_key_value_groups
    query, normed_query = (rows[head].float() for rows in query_at(reading, layer, place))
    query_before, key_before = _unturned(reading, layer, place)[head], _unturned_key(reading, layer, target)[key_head]
    key = _turned(reading, key_before, target)
    normed_key = reading.layers[layer].keys[key_head, target].float()
    return Match(
        layer=layer + 1,
        head=head,
        place=target,
        query=_norm(query, normed_query),
        key=_norm(key, normed_key),
        scaling=attention.scaling,
        score=float(normed_query.dot(normed_key)) * attention.scaling,
        weight=float(weights[target]),
        rope=_rope(reading, (query_before, place), (key_before, target)),
    )


def _rope(reading: Reading, query: tuple[Tensor, int], key: tuple[Tensor, int]) -> Rope:
    half = len(query[0]) // 2
    frequencies = reading.model.model.rotary_emb.inv_freq.float()
    # The pair whose angle between the two tokens is nearest to a quarter turn is the one to see it on.
    distance = max(1, query[1] - key[1])
    pair = int((frequencies * distance - torch.pi / 2).abs().argmin())
    turns = []
    for vector, place in (query, key):
        turned = _turned(reading, vector, place)
        before, after = ((float(row[pair]), float(row[pair + half])) for row in (vector, turned))
        turns.append(Turn(place, float(frequencies[pair]) * place, before, after))
    score, moved_score = (
        float(torch.dot(*(_turned(reading, vector, place + later) for vector, place in (query, key))))
        for later in (0, MOVED_TOKENS)
    )
    return Rope(pair, turns[0], turns[1], score, moved_score, MOVED_TOKENS)


def _turned(reading: Reading, vector: Tensor, place: int) -> Tensor:
    cos, sin = reading.model.model.rotary_emb(vector, torch.tensor([[place]], device=vector.device))
    turned: Tensor = rotate(vector[None, None, None], cos, sin)[0, 0, 0]
    return turned


def _unturned(reading: Reading, layer: int, place: int) -> Tensor:
    block = block_of(reading, layer)
    queries: Tensor = block.self_attn.q_proj(block.input_layernorm(reading.layers[layer].before[place]))
    return queries.view(-1, block.self_attn.head_dim).float()


def _unturned_key(reading: Reading, layer: int, place: int) -> Tensor:
    block = block_of(reading, layer)
    keys: Tensor = block.self_attn.k_proj(block.input_layernorm(reading.layers[layer].before[place]))
    return keys.view(-1, block.self_attn.head_dim).float()


def _norm(before: Tensor, after: Tensor) -> Norm:
    first = slice(0, SHOWN_CHANNELS)
    sizes = [float(vector.pow(2).mean().sqrt()) for vector in (before, after)]
    return Norm(tuple(before[first].tolist()), tuple(after[first].tolist()), *sizes)
