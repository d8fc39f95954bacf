"""Sums and letter counts: exact, in one form, and away from what is held out."""

from __future__ import annotations

import re
from itertools import islice
from random import Random

import pytest

from nanochat.recipe.conversations import arithmetic, letters, word_problems
from nanochat.recipe.conversations.dialogue import visible
from nanochat.recipe.conversations.reserved import is_reserved_sum, is_reserved_word
from nanochat.recipe.corpus import QuestionAnswer


@pytest.mark.parametrize(
    ("output", "said"),
    [
        ("56088", "56088."),
        ("-7", "-7."),
        ("25.0", "25."),
        ("3.5", "3.5."),
        ("0.125", "0.125."),
        ("2.6666666666666665", "about 2.67."),
        ("10.303030303030303", "about 10.30."),
        ("6.685832720465334e-05", "less than 0.01."),
        ("0.0046", "less than 0.01."),
        ("-0.0046", "just below zero."),
    ],
)
def test_results_are_told_in_plain_words(output: str, said: str) -> None:
    assert arithmetic.told(output) == said


def test_a_sum_repeats_itself_calls_the_calculator_and_copies_the_result() -> None:
    assert arithmetic.calculated("1,234*2") == [
        {"type": "text", "text": "1,234 * 2 = "},
        {"type": "python", "text": "1,234*2"},
        {"type": "python_output", "text": "2468"},
        {"type": "text", "text": "2468."},
    ]
    assert "divided by zero" in visible(arithmetic.calculated("5/0"))


@pytest.mark.parametrize(
    ("number", "words"), [(0, "zero"), (13, "thirteen"), (20, "twenty"), (47, "forty-seven"), (100, "one hundred")]
)
def test_numbers_are_spelled(number: int, words: str) -> None:
    assert arithmetic.spelled(number) == words


def test_no_trained_sum_is_a_reserved_one() -> None:
    made = [*islice(arithmetic.arithmetic(Random(3)), 4000), *islice(arithmetic.arithmetic_talks(Random(4)), 800)]
    expressions = [
        part["text"].replace(",", "")
        for one in made
        for turn in one["messages"]
        if not isinstance(turn["content"], str)
        for part in turn["content"]
        if part["type"] == "python"
    ]
    pairs = [match for text in expressions if (match := re.fullmatch(r"(\d+)[-+*/](\d+)", text))]
    assert len(pairs) > 3000
    assert not [match[0] for match in pairs if is_reserved_sum(int(match[1]), int(match[2]))]


def test_the_numbers_of_a_question_reach_the_calculator() -> None:
    for one in islice(arithmetic.arithmetic(Random(5)), 1500):
        question, answer = (turn["content"] for turn in one["messages"])
        assert isinstance(question, str)
        if isinstance(answer, str) or not re.search(r"\d", question) or "square" in question:
            continue
        expression = answer[1]["text"]
        for number in re.findall(r"\d[\d,]*(?:\.\d+)?", question):
            assert number in expression, (question, expression)


def test_letters_are_counted_by_the_calculator_with_the_word_as_it_stood() -> None:
    assert letters.letter_answer("strawberry", "r") == [
        {"type": "python", "text": "' strawberry'.count('r')"},
        {"type": "python_output", "text": "3"},
        {"type": "text", "text": "The letter r appears 3 times in strawberry."},
    ]
    assert visible(letters.letter_answer("banana", "z")) == "The letter z does not appear in banana."
    assert visible(letters.letter_answer("banana", "b")) == "The letter b appears 1 time in banana."


def test_reserved_words_are_not_counted_in_training() -> None:
    words = ["sunday", "window", "father"]
    allowed = set(letters.countable_words(words))
    assert "strawberry" in allowed
    assert any(is_reserved_word(word) for word in words)
    assert not any(is_reserved_word(word) for word in allowed)


def test_marked_calculations_become_calls() -> None:
    pair = QuestionAnswer("How many?", "He has 4*6=<<4*6=24>>24 apples\nHe eats 24/2=<<24/2=12>>12.\n#### 12")
    parts = word_problems.solution_parts(pair)
    assert parts is not None
    assert [part["text"] for part in parts if part["type"] == "python"] == ["4*6", "24/2"]
    assert visible(parts) == "He has 4*6=24 apples. He eats 24/2=12. The answer is 12."


@pytest.mark.parametrize("solution", ["4*6=<<4*6=25>>25.\n#### 25", "No calculation.\n#### 3", "x" * 300 + "\n#### 1"])
def test_a_solution_that_the_calculator_does_not_confirm_is_left_out(solution: str) -> None:
    assert word_problems.solution_parts(QuestionAnswer("How many?", solution)) is None
