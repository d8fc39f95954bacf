"""Many requests at once: total tokens a second, beside the rival that serves them one after the other.

Whoever serves one by one is as fast with sixteen requests as with four, so the rival is asked four, and its seconds for
another number follow from these.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter
from types import MappingProxyType

from nanochat.bench.pairs import in_turns
from nanochat.bench.questions import question
from nanochat.bench.sides import MOST_REQUESTS, OurSide, Side
from nanochat.bench.table import Row, compared
from nanochat.bench.trial import Trial
from nanochat.chat.conversation import Conversation
from nanochat.chat.template import ChatTemplate

CROWDS = (1, 4, 8, MOST_REQUESTS)
SERVED_ONE_BY_ONE = 4
GOALS: Mapping[tuple[str, int], float] = MappingProxyType({("d20 bfloat16", 8): 5.0})


def crowd_rows(trial: Trial) -> list[Row]:
    """Measure the model as it is loaded beside the first rival: tokens of all, over the seconds until the last."""
    one, (rival, theirs) = trial.first, next(iter(trial.rivals.items()))
    tokens, template = trial.shape.crowd_tokens, one.subject.template
    contenders: dict[str, Callable[[int], list[float]]] = {
        "ours": _at_once(OurSide(one.engine), template, tokens),
        rival: _one_by_one(theirs, template, tokens),
    }
    seconds = in_turns(contenders, trial.rounds, trial.progress)
    return rows_of(one.subject.name, tokens, seconds["ours"], rival, seconds[rival])


def rows_of(
    name: str, tokens: int, ours: Sequence[Sequence[float]], rival: str, theirs: Sequence[Sequence[float]]
) -> list[Row]:
    """Return a row for each crowd, from the seconds that each took in each round."""
    return [
        compared(
            (name, f"{crowd} at once, {tokens} tokens each", "tok/s"),
            [crowd * tokens / taken[place] for taken in ours],
            f"{rival}, one by one",
            [crowd * tokens / taken[place] for taken in theirs],
            least_ratio=GOALS.get((name, crowd)),
        )
        for place, crowd in enumerate(CROWDS)
    ]


def _at_once(side: Side, template: ChatTemplate, tokens: int) -> Callable[[int], list[float]]:
    """Return what measures how long each crowd takes when all ask at the same time."""

    def ask(asked: Conversation) -> None:
        side.answer(asked, tokens)

    def run(number: int) -> list[float]:
        taken = []
        for crowd in CROWDS:
            asked = _questions(template, number, crowd)
            with ThreadPoolExecutor(crowd) as readers:
                started = perf_counter()
                list(readers.map(ask, asked))
                taken.append(perf_counter() - started)
        return taken

    return run


def _one_by_one(side: Side, template: ChatTemplate, tokens: int) -> Callable[[int], list[float]]:
    """Return what measures how long each crowd waits when each request is answered after the one before."""

    def run(number: int) -> list[float]:
        started = perf_counter()
        asked = _questions(template, number, SERVED_ONE_BY_ONE)
        for each in asked:
            side.answer(each, tokens)
        taken = perf_counter() - started
        return [crowd * taken / len(asked) for crowd in CROWDS]

    return run


def _questions(template: ChatTemplate, number: int, crowd: int) -> list[Conversation]:
    # No question comes twice, not in another crowd and not in another round.
    first = 10_000 * (number + 1) + 100 * crowd
    return [question(template, first + place) for place in range(crowd)]
