"""Chats of several turns: what was told is what is answered later, and system messages are obeyed."""

from __future__ import annotations

import re
from itertools import islice
from random import Random

from nanochat.recipe.conversations import followups, memory, smalltalk, system_prompts, unknowns
from nanochat.recipe.conversations.dialogue import first_sentence, table, visible
from nanochat.recipe.conversations.reserved import HELD_OUT_NAMES
from tests.recipe.small_corpus import WORDS
from tests.recipe.test_conversations_facts import FRANCE, STATES

COUNTRIES = [FRANCE, STATES]


def test_the_name_that_is_answered_was_told_before() -> None:
    seen = set()
    for one in islice(memory.name_memory(Random(1), COUNTRIES, WORDS), 600):
        *before, last = (visible(turn["content"]) for turn in one["messages"])
        match = re.fullmatch(r"Your name is (\w+)\.", last)
        assert match, last
        told = [text.lower() for text in before[::2]]
        assert any(re.search(rf"\b{match[1].lower()}\b", text) for text in told)
        seen.add(match[1])
    assert len(seen) > 150
    assert not seen & set(HELD_OUT_NAMES)


def test_an_untold_name_is_owned_up_to() -> None:
    made = [one["messages"] for one in islice(memory.name_memory(Random(2), COUNTRIES, WORDS), 400)]
    unknown = [turns for turns in made if turns[1]["content"] == memory.UNKNOWN_NAME]
    assert len(unknown) > 5


def test_a_told_thing_comes_back_in_the_answer() -> None:
    for one in islice(memory.fact_memory(Random(3), COUNTRIES), 500):
        texts = [visible(turn["content"]) for turn in one["messages"]]
        value = texts[-1].rstrip(".").removesuffix(" years old").split()[-1]
        assert any(value.lower() in text.lower() for text in texts[:-2:2]), texts


def test_capital_letters_lower_case_and_one_sentence_are_obeyed() -> None:
    made = [one["messages"] for one in islice(system_prompts.system_prompts(Random(4), COUNTRIES, WORDS), 800)]
    obeyed = 0
    for system, *turns in made:
        answers = [visible(turn["content"]) for turn in turns[1::2]]
        if system["content"] in table("wordings")["capital letters"]:
            assert all(answer == answer.upper() for answer in answers)
            obeyed += 1
        if system["content"] in table("wordings")["lower case"]:
            assert all(answer == answer.lower() for answer in answers)
            obeyed += 1
        if system["content"] in table("wordings")["one sentence"]:
            assert all(first_sentence(answer) == answer for answer in answers if not answer.startswith(("Hi", "Hello")))
            obeyed += 1
        named = re.search(r"(?:name is|You are|called) ([A-Z]\w+)", str(system["content"]))
        if named and "NanoChat" not in str(system["content"]):
            assert any(named[1] in answer for answer in answers)
            obeyed += 1
    assert obeyed > 200


def test_more_is_told_about_the_same_thing() -> None:
    articles = {"cat": "A cat is a pet. Many people all over the world like to live with cats, and cats like it too."}
    made = [one["messages"] for one in islice(followups.tell_me_more(Random(5), articles), 900)]
    cats = [turns for turns in made if str(turns[1]["content"]).startswith("A cat is")]
    assert cats
    assert all(turns[2]["content"] in table("wordings")["more"] for turns in made)


def test_the_model_says_its_name_and_nothing_else_is_its_name() -> None:
    for reaction in table("identity"):
        for answer in reaction["answer"]:
            named = re.search(r"(?:my name is|I am called) (\w+)", answer, re.IGNORECASE)
            assert named is None or named[1] == "NanoChat"
    answers = [str(one["messages"][1]["content"]) for one in islice(smalltalk.identity(Random(6)), 400)]
    assert sum("NanoChat" in answer for answer in answers) > 60


def test_no_question_has_answers_in_two_tables_of_reactions() -> None:
    asked: dict[str, str] = {}
    for name in ("identity", "smalltalk", "refusals"):
        for reaction in table(name):
            for question in reaction["ask"]:
                assert question not in asked, f"{question} is in {asked.get(question)} and {name}"
                asked[question] = name


def test_invented_words_are_not_explained() -> None:
    made = [one["messages"] for one in islice(unknowns.unknowns(Random(7), ["banana", "apple"]), 300)]
    for question, answer in made:
        word = re.search(r"I do not know the word (\w+)\.", str(answer["content"]))
        if word:
            assert word[1] in str(question["content"])
            assert word[1] not in ("banana", "apple")
