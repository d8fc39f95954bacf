"""A long chat: how soon the first answer begins, and the eighth, with what was read before kept and without.

Whoever keeps nothing reads the whole chat again for each turn. Our engine is measured both ways; the rival, called as
its documentation shows, keeps nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from nanochat.bench.pairs import in_turns
from nanochat.bench.questions import TURNS, asked_otherwise, chat
from nanochat.bench.sides import OurSide, Side
from nanochat.bench.table import Row, compared
from nanochat.bench.trial import Ours, Trial
from nanochat.chat.conversation import Conversation

REUSE_GOAL = 10.0


@dataclass(frozen=True, slots=True)
class Beginnings:
    """Seconds to the first token at the first turn and at the last; `reused` where what was read before was kept."""

    first: float
    last: float
    reused: float | None = None


def turns_rows(trial: Trial) -> list[Row]:
    """Measure the model as it is loaded beside the first of its rivals."""
    one, (rival, side) = trial.first, next(iter(trial.rivals.items()))
    tokens = trial.shape.chat_tokens
    contenders: dict[str, Callable[[int], Beginnings]] = {
        "ours": lambda number: _ours(one, number, tokens),
        rival: lambda number: _theirs(one, side, number, tokens),
    }
    found = in_turns(contenders, trial.rounds, trial.progress)
    return rows_of(one.subject.name, tokens, found["ours"], rival, found[rival])


def rows_of(name: str, tokens: int, ours: Sequence[Beginnings], rival: str, theirs: Sequence[Beginnings]) -> list[Row]:
    """Return the rows of a chat of so many tokens."""
    reused = [found.reused for found in ours if found.reused is not None]
    whole, of_rival = [found.last for found in ours], [found.last for found in theirs]
    figure = f"first token of turn {TURNS}, {tokens:,} tokens"
    return [
        compared(
            (name, f"first token of turn 1, {tokens // TURNS} tokens a turn", "s"),
            [found.first for found in ours],
            rival,
            [found.first for found in theirs],
            less_is_better=True,
        ),
        compared((name, f"{figure}, nothing reused", "s"), whole, rival, of_rival, less_is_better=True),
        compared((name, f"{figure}, reused", "s"), reused, rival, of_rival, less_is_better=True),
        compared(
            (name, f"{figure}, reused", "s"),
            reused,
            "ours, nothing reused",
            whole,
            least_ratio=REUSE_GOAL,
            less_is_better=True,
        ),
    ]


def _ours(one: Ours, number: int, tokens: int) -> Beginnings:
    side, template = OurSide(one.engine), one.subject.template
    long = chat(template, number, tokens)
    _forget(one)
    first = _begin(side, _opening(long))
    _forget(one)
    last = _begin(side, long)
    # All but the last message has just been read, as it has when one turn follows the other.
    return Beginnings(first, last, _begin(side, asked_otherwise(template, long, number + 1)))


def _theirs(one: Ours, side: Side, number: int, tokens: int) -> Beginnings:
    long = chat(one.subject.template, number, tokens)
    return Beginnings(_begin(side, _opening(long)), _begin(side, long))


def _opening(long: Conversation) -> Conversation:
    return Conversation(long.messages[:1])


def _begin(side: Side, asked: Conversation) -> float:
    return side.answer(asked, 1).first_token_seconds


def _forget(one: Ours) -> None:
    for slot in one.engine.cache.slots:
        one.engine.cache.forget(slot)
