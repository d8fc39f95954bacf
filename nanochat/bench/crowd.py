"""Many requests at once: total tokens a second, beside the rival that serves them one after the other."""

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
GOALS: Mapping[tuple[str, int], float] = MappingProxyType({("d20 bfloat16", 8): 5.0})


def crowd_rows(trial: Trial) -> list[Row]:
    """Measure each crowd in each precision beside the first rival: tokens of all, over the seconds until the last."""
    rival, theirs = next(iter(trial.rivals.items()))
    tokens, template = trial.shape.crowd_tokens, trial.first.subject.template
    contenders: dict[str, Callable[[int], list[float]]] = {
        f"ours {one.subject.precision}": _at_once(OurSide(one.engine), template, tokens) for one in trial.ours
    }
    contenders[rival] = _one_by_one(theirs, template, tokens)
    seconds = in_turns(contenders, trial.rounds, trial.progress)
    rows = []
    for one in trial.ours:
        rows += rows_of(one.subject.name, tokens, seconds[f"ours {one.subject.precision}"], rival, seconds[rival])
    return rows


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
        done = []
        for asked in _questions(template, number, max(CROWDS)):
            side.answer(asked, tokens)
            done.append(perf_counter() - started)
        return [done[crowd - 1] for crowd in CROWDS]

    return run


def _questions(template: ChatTemplate, number: int, crowd: int) -> list[Conversation]:
    # No question comes twice, not in another crowd and not in another round.
    first = 10_000 * (number + 1) + 100 * crowd
    return [question(template, first + place) for place in range(crowd)]
