"""Stopping: how soon an answer ends that nobody wants any more, and whether fifty of them leave memory behind."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from statistics import median
from time import perf_counter

from nanochat.bench.memory import resident_bytes
from nanochat.bench.pairs import in_turns
from nanochat.bench.questions import question
from nanochat.bench.sides import Cancel, OurSide, Side
from nanochat.bench.table import Row, compared
from nanochat.bench.trial import Trial
from nanochat.chat.template import ChatTemplate
from nanochat.errors import BenchError

CANCELS = 50
# An answer that would go on for long, were it not cancelled.
LONG_TOKENS = 4_000


def cancelling_rows(trial: Trial) -> list[Row]:
    """Cancel answers of both sides right after their first token."""
    one, (rival, theirs) = trial.first, next(iter(trial.rivals.items()))
    template, device = one.subject.template, one.subject.model.device
    sides: dict[str, Side] = {"ours": OurSide(one.engine), rival: theirs}

    def contender(side: Side) -> Callable[[int], tuple[float, int]]:
        def run(number: int) -> tuple[float, int]:
            before = resident_bytes(device)
            seconds = [cancelled_seconds(side, template, CANCELS * number + count) for count in range(CANCELS)]
            return median(seconds), resident_bytes(device) - before

        return run

    found = in_turns({name: contender(side) for name, side in sides.items()}, trial.rounds, trial.progress)
    if one.engine.live_requests:
        raise BenchError(f"{one.engine.live_requests} cancelled answers still hold a place.")
    name, latencies = one.subject.name, {side: [latency for latency, _ in runs] for side, runs in found.items()}
    grown = {side: median(size for _, size in runs) / 1e6 for side, runs in found.items()}
    return [
        compared((name, "cancel to end", "s"), latencies["ours"], rival, latencies[rival], less_is_better=True),
        # Growth around zero has no ratio.
        Row(name, f"memory grown by {CANCELS} cancels", "MB", grown["ours"], rival, grown[rival], None, trial.rounds),
    ]


def cancelled_seconds(side: Side, template: ChatTemplate, number: int) -> float:
    """Return the seconds from the wish to end an answer, once it has begun, to its end."""
    cancel = Cancel()
    with ThreadPoolExecutor(max_workers=1) as reader:
        answering = reader.submit(side.answer, question(template, number), LONG_TOKENS, cancel)
        # An answer that fails before it begins would never be begun.
        answering.add_done_callback(lambda _: cancel.begun.set())
        cancel.begun.wait()
        started = perf_counter()
        cancel.wanted.set()
        answering.result()
        return perf_counter() - started
