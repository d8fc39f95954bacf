"""Stories hold the asked hero from their first sentence to their last paragraph."""

from __future__ import annotations

from itertools import islice
from random import Random

import pytest

from nanochat.recipe import checks
from nanochat.recipe.conversations import stories, tales
from nanochat.recipe.conversations.dialogue import table
from tests.recipe.small_corpus import STORY


@pytest.fixture(scope="module")
def told() -> list[tuple[str, str]]:
    made = islice(tales.tales(Random(1)), 1200)
    return [(str(one["messages"][0]["content"]), str(one["messages"][1]["content"])) for one in made]


def test_a_told_story_has_its_length_its_end_and_no_loop(told: list[tuple[str, str]]) -> None:
    for _, story in told:
        assert 80 <= len(story.split()) <= 200
        assert checks.ends_in_sentence(story)
        assert not checks.loops(story)


def test_every_kind_of_hero_can_be_told_about_and_stays() -> None:
    book, random = table("tales"), Random(2)
    for kind, home in tales.heroes():
        for plot in book["plots"]:
            hero = tales.new_hero(random, book, kind, home)
            story = tales.tale(random, book, hero, "otter", plot)
            half = len(story) // 2
            assert kind in story
            assert hero.name in story[:half] or kind in story[:half]
            assert hero.name in story[half:] or kind in story[half:]
            assert "{" not in story


def test_sentences_of_a_told_story_begin_with_a_capital(told: list[tuple[str, str]]) -> None:
    for _, story in told:
        for mark in (". ", "! ", "? "):
            for sentence in story.split(mark)[1:]:
                assert not sentence[:1].islower() or mark != ". ", sentence[:40]


def test_articles_fit_their_nouns(told: list[tuple[str, str]]) -> None:
    for request, story in told:
        for text in (request, story):
            assert " a owl" not in text
            assert " a old" not in text
            assert " an unicorn" not in text


def test_a_corpus_story_is_recognised_by_its_hero() -> None:
    story = stories.find_story(STORY)
    assert story is not None
    assert (story.kind, story.name) == ("girl", "Lily")


@pytest.mark.parametrize(
    "text",
    [
        STORY[:150] + ".",  # too short
        STORY * 4,  # too long
        STORY.replace("Once upon a time, there was", "We saw"),  # no opening
        STORY[:-1],  # cut off
        STORY[: len(STORY) // 3] + STORY[len(STORY) // 3 :].replace("Lily", "she"),  # the hero gets lost
    ],
)
def test_other_texts_are_left_out(text: str) -> None:
    assert stories.find_story(text) is None


def test_another_hero_takes_the_whole_part() -> None:
    story = stories.find_story(STORY)
    assert story is not None
    seen = set()
    for one in islice(stories.corpus_stories(Random(4), [story]), 60):
        request, text = (str(turn["content"]) for turn in one["messages"])
        named = [name for name in table("tales")["names"]["she"] if name in text]
        assert len(named) == 1, text
        seen.add(named[0])
        asked = [name for name in table("tales")["names"]["she"] if f" {name}" in request]
        assert asked in ([], named)
    assert len(seen) > 10


def test_an_animal_is_swapped_only_where_nothing_is_true_of_it_alone() -> None:
    plain = STORY.replace("girl", "fox")
    barking = plain.replace("She was very happy", "She barked and was very happy")
    swapped = {stories.recast(Random(seed), found).kind for seed in range(20) if (found := stories.find_story(plain))}
    assert len(swapped) > 5
    kept = {stories.recast(Random(seed), found).kind for seed in range(20) if (found := stories.find_story(barking))}
    assert kept == {"fox"}
