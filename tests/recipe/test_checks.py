"""Each check of an answer against a table of answers."""

from __future__ import annotations

import pytest

from nanochat.recipe import checks


@pytest.mark.parametrize(
    ("answer", "expected", "points"),
    [
        ("123 * 456 = 56088.", 56088, 1),
        ("123 * 456 = 56,088.", 56088, 1),
        ("123 * 456 = 56089.", 56088, 0),
        ("3 - 8 = -5.", -5, 1),
        ("3 - 8 = 5.", -5, 0),
        ("8 / 3 = about 2.67.", 8 / 3, 1),
        ("8 / 3 = about 2.66.", 8 / 3, 0),
        ("7 / 2 = 3.5.", 3.5, 1),
        ("100 / 4 = 25.", 25.0, 1),
        ("6 / 89742 = less than 0.01.", 6 / 89742, 1),
        ("6 / 7 = less than 0.01.", 6 / 7, 0),
        ("I do not know.", 4, 0),
        ("", 4, 0),
    ],
)
def test_the_last_number_must_be_the_result(answer: str, expected: float, points: float) -> None:
    assert checks.number_is(answer, expected) == points


@pytest.mark.parametrize(
    ("answer", "expected", "points"),
    [
        ("The letter r appears 3 times in strawberry.", 3, 1),
        ("There are three of them.", 3, 1),
        ("The letter z does not appear in banana.", 0, 1),
        ("The letter a does not appear in banana.", 3, 0),
        ("", 0, 0),
    ],
)
def test_a_count_may_be_a_digit_or_a_word(answer: str, expected: int, points: float) -> None:
    assert checks.count_is(answer, expected) == points


@pytest.mark.parametrize(
    ("answer", "expected", "same_case", "points"),
    [
        ("The capital of France is Paris.", "Paris", False, 1),
        ("It is paris", "Paris", False, 1),
        ("Parish", "Paris", False, 0),
        ("The symbol of helium is He.", "He", True, 1),
        ("he is helium", "He", True, 0),
        ("The capital is Washington, D.C.", "Washington, D.C.", False, 1),
    ],
)
def test_the_expected_words_must_stand_whole(answer: str, expected: str, same_case: bool, points: float) -> None:
    assert checks.contains(answer, expected, same_case=same_case) == points


@pytest.mark.parametrize(
    ("answer", "points"), [("THE CAPITAL OF PERU IS LIMA.", 1), ("The capital of Peru is LIMA.", 0), ("LIME.", 0)]
)
def test_shouting_has_no_small_letter(answer: str, points: float) -> None:
    assert checks.shouts(answer, "Lima") == points


@pytest.mark.parametrize(
    ("answer", "points"),
    [
        ("A cat is a pet.", 1),
        ("A cat is a pet. It purrs.", 0),
        ("A cat is", 0),
        ("J. K. Rowling wrote it.", 1),
        ("", 0),
    ],
)
def test_one_sentence_is_one(answer: str, points: float) -> None:
    assert checks.is_one_sentence(answer) == points


def test_overlap_is_full_for_the_reference_and_nothing_for_another_thing() -> None:
    reference = "Bread is a food made from flour, water and usually yeast, baked in an oven. It is old."
    assert checks.overlap(reference, reference, "bread") == 1
    assert checks.overlap("Bread is a large animal that lives in Africa.", reference, "bread") == 0
    assert 0.3 < checks.overlap("Bread is food made of flour and water.", reference, "bread") < 1
    assert checks.overlap("Bread is bread.", reference, "bread") == 0


def story(hero: str, words: int) -> str:
    return f"Once there was a {hero}. " + " ".join(f"word{place}" for place in range(words)) + f" and the {hero} slept."


@pytest.mark.parametrize(
    ("answer", "points"),
    [
        (story("fox", 90), 1),
        (story("fox", 30), 0),
        (story("wolf", 90), 0),
        (story("fox", 90)[:-1], 0),
        (story("fox", 60) + " The fox ran to the old house again." * 6, 0),
    ],
)
def test_a_story_has_its_hero_its_length_its_end_and_no_loop(answer: str, points: float) -> None:
    assert checks.story_of(answer, "fox") == points


def test_a_run_of_words_that_comes_back_three_times_is_a_loop() -> None:
    run = "the fox ran to the house "
    assert checks.loops(run * 3)
    assert not checks.loops(run * 2)
    assert not checks.loops("short")
