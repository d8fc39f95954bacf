"""Paired rounds: who runs when, and which numbers come of it."""

from __future__ import annotations

import pytest

from nanochat.bench.pairs import best, in_turns, median_ratio


def silent(_: str) -> None:
    pass


def test_all_meet_each_round_in_turns_and_the_warmup_is_not_counted() -> None:
    ran = []

    def contender(name: str):
        def run(number: int) -> tuple[str, int]:
            ran.append((name, number))
            return name, number

        return run

    found = in_turns({name: contender(name) for name in "ab"}, 2, silent)
    assert ran == [("b", 0), ("a", 0), ("a", 1), ("b", 1), ("b", 2), ("a", 2)]
    assert found == {"a": [("a", 1), ("a", 2)], "b": [("b", 1), ("b", 2)]}


@pytest.mark.parametrize("rounds", [0, -1])
def test_no_round_is_no_measurement(rounds: int) -> None:
    with pytest.raises(ValueError, match="without a round"):
        in_turns({}, rounds, silent)


@pytest.mark.parametrize(
    ("numerators", "denominators", "ratio"),
    [
        ([6.0], [3.0], 2.0),
        ([2.0, 9.0, 4.0], [1.0, 3.0, 1.0], 3.0),
        # The machine was half as fast in the last round: both sides were.
        ([10.0, 10.0, 5.0], [4.0, 4.0, 2.0], 2.5),
        # Not the quotient of the medians, which is 1.
        ([1.0, 2.0, 8.0], [2.0, 8.0, 1.0], 0.5),
        ([1.0, 3.0], [1.0, 1.0], 2.0),
    ],
)
def test_the_ratio_is_the_median_of_the_pairs(numerators: list[float], denominators: list[float], ratio: float) -> None:
    assert median_ratio(numerators, denominators) == ratio


def test_a_round_that_only_one_side_ran_is_no_pair() -> None:
    with pytest.raises(ValueError, match="argument 2 is shorter"):
        median_ratio([1.0, 2.0], [1.0])


def test_the_rival_worth_beating_is_the_one_with_the_best_median() -> None:
    found = {"steady": [3.0, 3.0, 3.0], "lucky": [1.0, 2.0, 90.0]}
    assert best(found, less_is_better=False) == "steady"
    assert best(found, less_is_better=True) == "lucky"
