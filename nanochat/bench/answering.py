"""One answer at a time: how soon it begins, how fast it is written, and how near that is to the machine's limit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from nanochat.bench.bandwidth import bytes_a_token, bytes_per_second, memory_to_read
from nanochat.bench.pairs import best, in_turns
from nanochat.bench.questions import question
from nanochat.bench.sides import OurSide, Side, Timed, local_engine
from nanochat.bench.table import Row, compared
from nanochat.bench.trial import Ours, Trial

# How many times the rival's tokens a second, and which share of the limit, were set out to be reached.
SPEED_GOALS: Mapping[str, float] = MappingProxyType(
    {
        # What the page serves on a processor.
        "embedded int8": 3.0,
        "d20 bfloat16": 1.5,
        "d20 int8": 2.0,
        "d20 int4": 3.0,
        "d32 int8": 1.8,
        "d32 int4": 2.6,
    }
)
# Our engine again, on a GPU, where its steps are otherwise recorded.
EAGER = "ours eager"
LIMIT_GOALS: Mapping[str, float] = MappingProxyType({"d32 bfloat16": 0.8})


@dataclass(frozen=True, slots=True)
class Sample:
    """One answer, and how fast memory was read right after it."""

    answer: Timed
    bytes_per_second: float


def answering_rows(trial: Trial) -> list[Row]:
    """Measure all precisions and all rivals with the same questions."""
    sides: dict[str, Side] = {f"ours {one.subject.precision}": OurSide(one.engine) for one in trial.ours}
    if trial.first.subject.model.device.type == "cuda":
        sides[EAGER] = OurSide(local_engine(trial.first.subject, 1, "eager"))
    samples = in_turns(_contenders(trial, {**sides, **trial.rivals}), trial.rounds, trial.progress)
    rows = []
    if EAGER in samples:
        first = trial.first.subject
        rows.append(recording_row(first.name, samples[f"ours {first.precision}"], samples[EAGER]))
    for one in trial.ours:
        rows += rows_of(one, samples[f"ours {one.subject.precision}"], {name: samples[name] for name in trial.rivals})
    return rows


def recording_row(name: str, recorded: Sequence[Sample], eager: Sequence[Sample]) -> Row:
    """Return what it brings to record the steps, beside the same engine without."""
    ours, theirs = ([sample.answer.tokens_per_second for sample in samples] for samples in (recorded, eager))
    return compared((name, "one answer, its steps recorded", "tok/s"), ours, EAGER, theirs)


def rows_of(one: Ours, samples: Sequence[Sample], rivals: Mapping[str, Sequence[Sample]]) -> list[Row]:
    """Return speed, limit and beginning of one precision, the first and the last beside whichever rival is best."""
    name, tokens = one.subject.name, samples[0].answer.tokens
    speeds = {rival: [sample.answer.tokens_per_second for sample in found] for rival, found in rivals.items()}
    starts = {rival: [sample.answer.first_token_seconds for sample in found] for rival, found in rivals.items()}
    fastest, soonest = best(speeds, less_is_better=False), best(starts, less_is_better=True)
    ours = [sample.answer.tokens_per_second for sample in samples]
    weights = bytes_a_token(one.subject.model)
    limits = [sample.bytes_per_second / weights for sample in samples]
    return [
        compared(
            (name, f"one answer of {tokens} tokens", "tok/s"),
            ours,
            fastest,
            speeds[fastest],
            least_ratio=SPEED_GOALS.get(name),
        ),
        compared(
            (name, f"the same beside the limit, {weights / 1e6:,.0f} MB a token", "tok/s"),
            ours,
            "memory read once a token",
            limits,
            least_ratio=LIMIT_GOALS.get(name),
        ),
        compared(
            (name, "time to first token", "s"),
            [sample.answer.first_token_seconds for sample in samples],
            soonest,
            starts[soonest],
            less_is_better=True,
        ),
    ]


def _contenders(trial: Trial, sides: Mapping[str, Side]) -> dict[str, Callable[[int], Sample]]:
    memory = memory_to_read(trial.first.subject.model.device)
    template, tokens = trial.first.subject.template, trial.shape.answer_tokens

    def contender(side: Side) -> Callable[[int], Sample]:
        def run(number: int) -> Sample:
            return Sample(side.answer(question(template, number), tokens), bytes_per_second(memory))

        return run

    return {name: contender(side) for name, side in sides.items()}
