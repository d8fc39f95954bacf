"""Rows and how they are written: as text, as JSON, and both saying the same."""

from __future__ import annotations

import json
import re

import pytest

from nanochat.bench.table import HEADINGS, Goal, Row, alone, amount, as_json, as_text, cells, compared

ROWS = [
    compared(("m", "speed", "tok/s"), [30.0, 40.0, 50.0], "rival", [10.0, 10.0, 10.0], least_ratio=3.0),
    compared(("m", "speed at a goal too high", "tok/s"), [30.0], "rival", [10.0], least_ratio=3.5),
    compared(("m", "start", "s"), [0.02], "rival", [0.5], less_is_better=True),
    alone(("m", "page", "s"), [13.0], most=12.0),
    alone(("m", "click", "s"), [0.25], most=0.3),
    Row("m", "memory grown", "MB", 0.0, "rival", 1.5, None, 1),
]


def test_more_speed_and_fewer_seconds_are_both_times_better() -> None:
    assert [row.ratio for row in ROWS] == [4.0, 3.0, 25.0, None, None, None]
    assert (ROWS[0].ours, ROWS[0].theirs, ROWS[0].rounds) == (40.0, 10.0, 3)


def test_a_missed_goal_is_said_to_be_missed() -> None:
    assert [row.met for row in ROWS] == [True, False, None, False, True, None]
    assert [cells(row)[-1] for row in ROWS] == ["met", "MISSED", "", "MISSED", "met", ""]


def test_a_ratio_that_is_just_met_is_met_and_one_without_a_ratio_is_not() -> None:
    assert compared(("m", "f", "s"), [1.0], "rival", [2.0], least_ratio=2.0, less_is_better=True).met
    assert Row("m", "f", "s", 1.0, None, None, None, 1, Goal("ratio", 2.0)).met is False


@pytest.mark.parametrize(
    ("value", "unit", "written"),
    [
        (0.0421, "s", "42.1 ms"),
        (1.234, "s", "1.23 s"),
        (12.34, "tok/s", "12.3 tok/s"),
        (1234.5, "tok/s", "1,234 tok/s"),
        (0.5, "MB", "0.50 MB"),
        (-3.21, "MB", "-3.21 MB"),
    ],
)
def test_an_amount_has_its_unit_and_three_digits(value: float, unit: str, written: str) -> None:
    assert amount(value, unit) == written


def test_text_and_json_say_the_same() -> None:
    told = json.loads(as_json(ROWS, {"threads": 2}))
    assert told["threads"] == 2
    lines = [re.split(r" {2,}", line) for line in as_text(ROWS).splitlines()]
    assert lines[0] == [heading for heading in HEADINGS if heading]
    for line, row in zip(lines[1:], told["rows"], strict=True):
        verdict = {None: None, True: "met", False: "MISSED"}[row["met"]]
        ours, theirs = (row[key] if row[key] is None else amount(row[key], row["unit"]) for key in ("ours", "theirs"))
        ratio = None if row["ratio"] is None else f"{row['ratio']:.2f}x"
        expected = [row["model"], row["figure"], ours, row["beside"], theirs, ratio, verdict]
        goal = cells(ROWS[lines.index(line) - 1])[6]
        assert line == [cell for cell in [*expected[:6], goal, verdict] if cell]
        if row["goal"]:
            assert f"{row['goal']['limit']:g}" in goal or amount(row["goal"]["limit"], row["unit"]) in goal


def test_columns_stand_below_each_other() -> None:
    lines = as_text(ROWS).splitlines()
    assert len({line.index(word) for line, word in zip(lines[1:4], ["speed", "speed", "start"], strict=True)}) == 1
