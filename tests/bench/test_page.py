"""The page in a process of its own: that it is reached, says what the engine says, and how it is compared."""

from __future__ import annotations

import sys

import pytest

from nanochat.bench.page import Start, Told, chat_rows, rows_of_chat, rows_of_starts, running, started
from nanochat.bench.questions import WORDS
from nanochat.bench.subjects import Shape
from nanochat.bench.table import Goal
from nanochat.errors import BenchError


def test_the_page_is_started_and_says_something(tiny_shape: Shape) -> None:
    start = started(tiny_shape.source, "cpu")
    assert 0 < start.http_seconds < start.chat_seconds


def test_the_page_is_chatted_with_beside_the_engine(tiny_shape: Shape) -> None:
    # Each question told by both; a session that went on would answer the second one otherwise.
    told = []
    writing, whole, first = chat_rows(tiny_shape, "cpu", 1, told.append)
    assert len(told) == 2 * len(WORDS)
    assert [row.beside for row in (writing, whole, first)] == ["ours, no page"] * 3
    assert writing.goal == Goal("ratio", 0.85)


def test_a_start_has_two_goals() -> None:
    rows = rows_of_starts("m", [Start(5.0, 8.0), Start(13.0, 14.0), Start(14.0, 16.0)])
    assert [row.ours for row in rows] == [13, 14]
    assert [row.met for row in rows] == [False, True]


def test_the_speed_of_the_page_is_that_of_the_same_tokens() -> None:
    page = [Told("words", 0, first_seconds=0.5, seconds=4.5), Told("more", 0, first_seconds=0.5, seconds=2.5)]
    engine = [Told("words", 21, first_seconds=0.25, seconds=2.25), Told("more", 21, first_seconds=0.25, seconds=2.25)]
    writing, whole, first = rows_of_chat("m", page, engine)
    assert (writing.ours, writing.theirs, writing.ratio, writing.met) == (7.5, 10, 0.75, False)
    assert whole.ratio == pytest.approx((0.5 + 0.9) / 2)
    assert first.ratio == 0.5


def test_a_page_that_says_something_else_is_not_compared() -> None:
    with pytest.raises(BenchError, match="otherwise than the engine"):
        rows_of_chat("m", [Told("one", 0, 0.1, 1.0)], [Told("other", 9, 0.1, 1.0)])


def test_a_page_that_does_not_start_is_told_with_its_last_words() -> None:
    broken = (sys.executable, "-c", "raise SystemExit('working\\nno page today')")
    with pytest.raises(BenchError, match="The page did not start: no page today"), running("embedded", "cpu", broken):
        pass
