"""How many GPU seconds an answer asks for: too few and it is cut, too many and the visitor's quota refuses it.

ZeroGPU wants the number before the answer is known. So it is estimated from what an answer is made of: starting a
worker, reading the prompt, writing at most so many tokens. How long each takes is a guess at first; every answer that
comes back corrects it.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

from nanochat.chat.events import Done

# The worker ends its answer this long before it would be killed.
MARGIN_SECONDS = 2.0
# A warm worker starts in less, a cold one takes longer.
COLD_START_SECONDS = 0.5
# Fewer tokens than these take too short a time to judge the speed by.
TELLING_PROMPT, TELLING_ANSWER = 64, 16


@dataclass(frozen=True, slots=True)
class Speed:
    """How fast answers come on the lent GPU: a careful guess until the first one has been measured."""

    cold_start_seconds: float = 8.0
    prompt_tokens_per_second: float = 2000.0
    answer_tokens_per_second: float = 30.0

    def estimate_seconds(self, prompt_tokens: int, answer_tokens: int) -> int:
        """Return whole seconds enough for a cold start, the whole prompt, the longest answer and the margin."""
        reading = prompt_tokens / self.prompt_tokens_per_second
        writing = answer_tokens / self.answer_tokens_per_second
        return math.ceil(self.cold_start_seconds + reading + writing + MARGIN_SECONDS)

    def learned(self, done: Done, start_seconds: float) -> Speed:
        """Return the speed after one more answer: halfway to what it showed, and nothing from what was too short."""
        read_tokens = done.prompt_tokens - done.reused_tokens
        return Speed(
            # A warm worker starts in no time, but who knows that the next one is warm?
            _towards(self.cold_start_seconds, start_seconds, start_seconds > COLD_START_SECONDS),
            _towards(
                self.prompt_tokens_per_second, _rate(read_tokens, done.prefill_seconds), read_tokens >= TELLING_PROMPT
            ),
            _towards(
                self.answer_tokens_per_second,
                _rate(done.completion_tokens, done.decode_seconds),
                done.completion_tokens >= TELLING_ANSWER,
            ),
        )


class SendingTime:
    """A moment that is fixed when it is pickled: `spaces` sends the arguments once the GPU is granted, not before."""

    def __reduce__(self) -> tuple[type[float], tuple[float]]:
        return float, (time.monotonic(),)

    def __float__(self) -> float:
        return time.monotonic()


def _rate(tokens: int, seconds: float) -> float:
    return tokens / max(seconds, 1e-3)


def _towards(value: float, seen: float, counts: bool) -> float:
    return (value + seen) / 2 if counts else value
