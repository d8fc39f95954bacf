"""What the model might have said at one place: its own probabilities, and what the settings made of them.

Everything follows from the logits of that place, so the settings can be changed afterwards without asking the model.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from torch import Tensor

from nanochat.chat.sampling import SamplingSettings, distribution
from nanochat.errors import LensError

SHOWN_CHOICES = 20


@dataclass(frozen=True, slots=True)
class Choice:
    """An id that might have come: the model's probability, and the one it was drawn with, 0 where it was cut off."""

    id: int
    rank: int
    probability: float
    drawn_probability: float
    chosen: bool

    @property
    def excluded(self) -> bool:
        return self.drawn_probability == 0


@dataclass(frozen=True, slots=True)
class Choices:
    """The best choices with the chosen one among them, best first, how many the settings left, and the surprise.

    `surprise_bits` is what the chosen id tells somebody who knows the model: the logarithm of 1 / probability.
    `entropy_bits` is the surprise to be expected.
    """

    shown: tuple[Choice, ...]
    left: int
    surprise_bits: float
    entropy_bits: float


def choices(
    logits: Tensor, settings: SamplingSettings, chosen_id: int, seen_ids: Iterable[int] = (), shown: int = SHOWN_CHOICES
) -> Choices:
    """Describe the choice of `chosen_id` from logits, shape [vocabulary], after the ids that had been seen.

    Raises LensError for an id that is not in the vocabulary, and ModelOutputError for logits that are not finite.
    """
    if not 0 <= chosen_id < len(logits):
        raise LensError(f"There is no token {chosen_id}: ids run from 0 to {len(logits) - 1}.")
    drawn = distribution(logits, settings, seen_ids)
    drawn_probabilities = dict(zip(drawn.ids.tolist(), drawn.probabilities.tolist(), strict=True))
    logarithms = logits.detach().cpu().double().log_softmax(dim=-1)
    best = logarithms.topk(min(shown, len(logarithms))).indices.tolist()
    ids = best if chosen_id in best else [*best, chosen_id]
    return Choices(
        shown=tuple(
            Choice(
                token_id,
                int((logarithms > logarithms[token_id]).sum()) + 1,
                math.exp(float(logarithms[token_id])),
                drawn_probabilities.get(token_id, 0.0),
                token_id == chosen_id,
            )
            for token_id in ids
        ),
        left=sum(probability > 0 for probability in drawn_probabilities.values()),
        surprise_bits=-float(logarithms[chosen_id]) / math.log(2),
        entropy_bits=-float((logarithms.exp() * logarithms).sum()) / math.log(2),
    )
