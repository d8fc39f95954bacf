"""What is to be copied is copied letter for letter, and most of it was never seen before."""

from __future__ import annotations

import re
from itertools import islice
from random import Random

from nanochat.recipe.conversations import copying, letters
from nanochat.recipe.conversations.dialogue import visible
from nanochat.recipe.conversations.reserved import HELD_OUT_NAMES, is_reserved_word
from tests.recipe.small_corpus import WORDS
from tests.recipe.test_conversations_facts import FRANCE, STATES

COMMON = [*WORDS, "window", "garden", "yellow", "mountain", "butterfly"]


def test_invented_words_have_a_fair_length_and_leave_the_held_out_ones_alone() -> None:
    random = Random(1)
    made = [copying.invented_word(random, COMMON) for _ in range(3000)]
    assert {len(word) for word in made} == set(range(copying.SHORTEST_INVENTED, copying.LONGEST_INVENTED + 1))
    assert not any(is_reserved_word(word) or word.capitalize() in HELD_OUT_NAMES for word in made)
    assert len(set(made)) > 1000


def test_invented_words_that_are_held_out_are_drawn_again() -> None:
    # "olga" has to be made sooner or later of these two, and must not come out.
    made = {copying.invented_word(Random(seed), ["ol", "ga"]) for seed in range(300)}
    assert "gaol" in made
    assert "olga" not in made


def test_an_echo_says_what_was_asked_for() -> None:
    sentences = iter(
        ["I saw a cat.", "He killed a man.", "This sentence is much too long to be said again by anybody."]
    )
    for one in islice(copying.echoes(Random(2), COMMON, sentences), 600):
        for asked, answered in zip(one["messages"][::2], one["messages"][1::2], strict=True):
            said = visible(answered["content"]).removeprefix("Your word is ").rstrip(".")
            assert said.lower() in visible(asked["content"]).lower()
            assert "killed" not in said
            assert len(said.split()) <= 8


def test_capital_letters_spell_the_same_word() -> None:
    for one in islice(copying.upper_case(Random(3), COMMON, [FRANCE, STATES]), 200):
        for asked, answered in zip(one["messages"][::2], one["messages"][1::2], strict=True):
            answer = visible(answered["content"])
            assert answer == answer.upper()
            assert re.search(re.escape(answer.rstrip(".")), visible(asked["content"]), re.IGNORECASE)


def test_many_counted_words_are_invented() -> None:
    made = islice(letters.letters(Random(4), COMMON), 1000)
    counted = [one["messages"][1]["content"][0]["text"] for one in made]  # type: ignore[index]
    words = [text.removeprefix("' ").split("'")[0] for text in counted]
    invented = [word for word in words if word not in COMMON]
    assert 300 < len(invented) < 500
