"""From logits to the next token id.

A language model answers with one number for each entry of its vocabulary. Sampling turns those numbers into one choice:
push down what was said already, sharpen or flatten, cut the unlikely tail, draw. Each setting is one of these steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from nanochat.errors import InvalidSettingError


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
