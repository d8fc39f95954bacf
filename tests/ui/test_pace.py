"""How often a page hears of an answer."""

from __future__ import annotations

from collections.abc import Generator, Iterable

import pytest

from nanochat.errors import BusyError
from nanochat.ui.pace import paced


class Clock:
    """A clock that each state moves on, so no test waits."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def ticking(self, steps: Iterable[tuple[float, str]]) -> Generator[str, None, None]:
        for seconds, state in steps:
            self.now += seconds
            yield state


def pace(steps: Iterable[tuple[float, str]], **options: object) -> list[str]:
    clock = Clock()
    return list(paced(clock.ticking(steps), clock=clock, interval_seconds=0.04, **options))


def test_two_hundred_tokens_in_a_second_become_at_most_25_updates_and_a_last_one() -> None:
    states = [(0.005, "a" * count) for count in range(1, 201)]
    updates = pace(states)
    assert len(updates) <= 26
    assert updates[0] == "a"
    assert updates[-1] == "a" * 200


@pytest.mark.parametrize(("handing_on", "updates"), [(0.001, 25), (0.01, 12.5), (0.05, 10)])
def test_updates_that_take_long_to_hand_on_become_fewer_but_never_less_than_ten(
    handing_on: float, updates: float
) -> None:
    clock = Clock()
    seen = []
    for state in paced(clock.ticking((0.001, str(count)) for count in range(10_000)), clock=clock):
        seen.append(state)
        clock.now += handing_on
    assert len(seen) / clock.now == pytest.approx(updates, rel=0.05)


def test_a_slow_model_is_not_held_back_at_all() -> None:
    assert pace([(0.2, "a"), (0.2, "ab"), (0.2, "abc")]) == ["a", "ab", "abc"]


def test_an_urgent_state_passes_at_once() -> None:
    steps = [(0.001, "waiting"), (0.001, "first!"), (0.001, "more"), (0.001, "end")]
    assert pace(steps, urgent=lambda state: state == "first!") == ["waiting", "first!", "end"]


def test_a_source_without_states_gives_none() -> None:
    assert pace([]) == []


def test_what_came_before_a_failure_is_shown_before_it() -> None:
    def failing() -> Generator[str, None, None]:
        yield "a"
        yield "ab"
        raise BusyError("full")

    updates = paced(failing(), interval_seconds=60)
    assert next(updates) == "a"
    assert next(updates) == "ab"
    with pytest.raises(BusyError, match="full"):
        next(updates)


def test_closing_closes_the_source_and_says_nothing_more() -> None:
    closed = []

    def source() -> Generator[str, None, None]:
        try:
            while True:
                yield "a"
        finally:
            closed.append(True)

    updates = paced(source())
    next(updates)
    updates.close()
    assert closed == [True]
