"""From logits to the next token id.

A language model answers with one number for each entry of its vocabulary. Sampling turns those numbers into one choice:
push down what was said already, sharpen or flatten, cut the unlikely tail, draw. Each setting is one of these steps.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor

from nanochat.errors import InvalidSettingError, ModelOutputError


@dataclass(frozen=True, slots=True)
class Range:
    """What a setting may be: the text of its errors and the ends of its slider come from here."""

    lowest: float
    highest: float
    whole: bool = False
    above_lowest: bool = False
    optional: bool = False

    def __str__(self) -> str:
        kind = "a whole number" if self.whole else "a number"
        ends = f"above {self.lowest} and at most" if self.above_lowest else f"from {self.lowest} to"
        return f"{kind} {ends} {self.highest}" + (" or left out" if self.optional else "")


# karpathy/nanochat, scripts/chat_web.py (temperature, top_k, max_tokens); transformers' logits processors for the rest.
LIMITS: Mapping[str, Range] = MappingProxyType(
    {
        "temperature": Range(0, 2),
        "top_k": Range(0, 200, whole=True),
        "top_p": Range(0, 1, above_lowest=True),
        "repetition_penalty": Range(1, 2),
        "max_tokens": Range(1, 4096, whole=True),
        "seed": Range(0, 2**32 - 1, whole=True, optional=True),
    }
)


@dataclass(frozen=True, slots=True)
class SamplingSettings:
    """How the next token is chosen; valid by construction.

    `temperature` 0 always takes the most probable token; `top_k` 0, `top_p` 1 and `repetition_penalty` 1 switch their
    step off; `seed` None lets the engine draw one. Raises InvalidSettingError.
    """

    temperature: float = 0.6
    top_k: int = 50
    top_p: float = 1.0
    repetition_penalty: float = 1.0
    max_tokens: int = 256
    seed: int | None = None

    def __post_init__(self) -> None:
        for name, allowed in LIMITS.items():
            object.__setattr__(self, name, _checked(name, getattr(self, name), allowed))


@dataclass(frozen=True, slots=True)
class Distribution:
    """The ids that may come next and the probability of each; together 1.

    The most probable id comes first after a cut by `top_p`, otherwise they stand in the order of the vocabulary.
    """

    ids: Tensor
    probabilities: Tensor


@dataclass(frozen=True, slots=True)
class Ranking:
    """The highest logits of one position, best first: found once, for choosing and for showing what else was likely."""

    logits: Tensor
    ids: Tensor


def rank(logits: Tensor, settings: SamplingSettings, shown: int) -> Ranking:
    """Return as many of the best as `distribution` needs to cut by `top_k`, and at least `shown`."""
    # One more than are kept, to see whether the last of them is alone with its score.
    return Ranking(*logits.topk(min(max(settings.top_k + 1, shown), len(logits))))


def distribution(
    logits: Tensor, settings: SamplingSettings, seen_ids: Iterable[int] = (), ranking: Ranking | None = None
) -> Distribution:
    """Return what `sample` draws from, given the logits of one position, (vocabulary,), and their ranking if known.

    Steps and their order are those of transformers: repetition penalty on the seen ids, temperature, top-k, top-p.
    Everything happens on the CPU, so that a seed gives the same answer on every device.
    Raises ModelOutputError for logits that are not finite.
    """
    scores = logits.detach().float().cpu()
    # The extremes of numbers with a NaN are NaN: one pass, and none for each kind of number.
    if not all(map(math.isfinite, map(float, torch.aminmax(scores)))):
        raise ModelOutputError
    if settings.repetition_penalty != 1:
        scores, ranking = _penalized(scores, settings.repetition_penalty, seen_ids), None
    if settings.temperature == 0:
        return Distribution(scores.argmax().reshape(1), torch.ones(1, dtype=torch.float64))
    ids = _top_k(scores, settings.top_k, ranking or rank(scores, settings, 0))
    # In float64 and below zero, no temperature overflows: even 5e-324 ends as greedy choice.
    candidates = scores[ids].double()
    probabilities = ((candidates - candidates.max()) / settings.temperature).softmax(dim=0)
    if settings.top_p < 1:
        places = _top_p(probabilities, settings.top_p)
        ids, probabilities = ids[places], probabilities[places] / probabilities[places].sum()
    return Distribution(ids, probabilities)


def sample(
    logits: Tensor,
    settings: SamplingSettings,
    generator: torch.Generator,
    seen_ids: Iterable[int] = (),
    ranking: Ranking | None = None,
) -> int:
    """Choose the next id: the best one at temperature 0, otherwise one draw from `distribution`.

    A CPU generator that belongs to one request makes its answer independent of whatever else is running.
    """
    chances = distribution(logits, settings, seen_ids, ranking)
    if len(chances.ids) == 1:
        return int(chances.ids[0])
    cumulative = chances.probabilities.cumsum(dim=0)
    point = torch.rand(1, generator=generator, dtype=torch.float64) * cumulative[-1]
    # The first id whose share ends beyond the point; an id with no share is never that one.
    place = int(torch.searchsorted(cumulative, point, right=True))
    return int(chances.ids[min(place, len(cumulative) - 1)])


def _penalized(scores: Tensor, penalty: float, seen_ids: Iterable[int]) -> Tensor:
    """Make seen ids less likely, each once however often it came (transformers, RepetitionPenaltyLogitsProcessor)."""
    seen = torch.tensor([*seen_ids], dtype=torch.long)
    seen = seen[seen < len(scores)]
    old = scores[seen]
    return scores.index_put((seen,), torch.where(old < 0, old * penalty, old / penalty))


def _top_k(scores: Tensor, top_k: int, ranking: Ranking) -> Tensor:
    """Return the ids that score no less than the k-th best: more than k where several share its score."""
    if not 0 < top_k < len(scores):
        return torch.arange(len(scores))
    last, next_one = ranking.logits[top_k - 1 : top_k + 1].tolist()
    if last > next_one:
        return ranking.ids[:top_k].sort().values
    kept: Tensor = (scores >= last).nonzero().flatten()
    return kept


def _top_p(probabilities: Tensor, top_p: float) -> Tensor:
    """Return the places of the fewest best candidates that together hold `top_p`.

    That is each candidate whose betters hold less than `top_p`. A few hundred usually do, so a larger part of the
    vocabulary is ordered only as far as needed.
    """
    examined = 256
    while True:
        examined = min(examined, len(probabilities))
        best, places = probabilities.topk(examined)
        betters = best.cumsum(dim=0) - best
        if examined == len(probabilities) or betters[-1] >= top_p:
            return places[betters < top_p]
        examined *= 8


def _checked(name: str, value: object, allowed: Range) -> float | None:
    if value is None and allowed.optional:
        return None
    # A bool is an int to Python, but a ticked box is no temperature.
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise InvalidSettingError(name, str(allowed))
    # Written so that NaN, which is neither below nor above anything, fails too.
    if not allowed.lowest <= value <= allowed.highest or (allowed.above_lowest and value == allowed.lowest):
        raise InvalidSettingError(name, str(allowed))
    # Sliders and JSON send 5.0 for 5; 5.5 tokens are a mistake.
    if allowed.whole and value != int(value):
        raise InvalidSettingError(name, str(allowed))
    return int(value) if allowed.whole else float(value)
