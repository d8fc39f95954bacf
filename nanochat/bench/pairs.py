"""Two programs measured as one: side by side, in turns, in the same process.

A machine is never equally fast twice. Its clock falls when it is warm, and somebody else's work comes and goes. So a
figure is not a number of seconds but a ratio of two that were measured one right after the other, and of several such
pairs the median. What slows the machine for a minute then slows both sides of a pair and leaves their ratio alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import TypeAlias, TypeVar

Measured = TypeVar("Measured")
Progress: TypeAlias = Callable[[str], None]
# A contender is told the number of the round, so that all meet the same question, and each round a new one.
Contender: TypeAlias = Callable[[int], Measured]

WARMUP_ROUND = 0


def in_turns(
    contenders: Mapping[str, Contender[Measured]], rounds: int, progress: Progress
) -> dict[str, list[Measured]]:
    """Run all contenders once each round and return what each measured, round by round.

    A first round is not counted: whoever runs first pays for memory that is not yet there. The order turns around every
    other round, so that nobody always runs after the same neighbour. Raises ValueError for fewer than one round.
    """
    if rounds < 1:
        raise ValueError("There is nothing to compare without a round.")
    results: dict[str, list[Measured]] = {name: [] for name in contenders}
    for number in range(WARMUP_ROUND, rounds + 1):
        names = list(contenders)
        for name in names if number % 2 else reversed(names):
            progress(f"{name}, {f'round {number} of {rounds}' if number else 'warming up'}")
            measured = contenders[name](number)
            if number != WARMUP_ROUND:
                results[name].append(measured)
    return results


def median_ratio(numerators: Sequence[float], denominators: Sequence[float]) -> float:
    """Return the median of the ratios pair by pair. Raises ValueError for sides that are not pairs."""
    return median(one / other for one, other in zip(numerators, denominators, strict=True))


def best(contenders: Mapping[str, Sequence[float]], *, less_is_better: bool) -> str:
    """Return the contender with the best median: the rival that is worth beating."""
    return (min if less_is_better else max)(contenders, key=lambda name: median(contenders[name]))
