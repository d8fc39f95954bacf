"""The recipe's own knowledge: well-formed tables, one answer a question, wording that fits the thing."""

from __future__ import annotations

import re
from itertools import islice
from random import Random

import pytest

from nanochat.recipe.conversations import definitions, facts, geography, kinds, phrasing, words
from nanochat.recipe.conversations.dialogue import first_sentence, listed, table, visible, with_article
from nanochat.recipe.corpus import Country, QuestionAnswer

FRANCE = Country("France", "Paris", "Europe", "Western Europe", ("French",), ("Euro",), ("Spain", "Italy"), "French")
STATES = Country(
    "the United States", "Washington, D.C.", "North America", "", ("English",), ("Dollar",), (), "American"
)


def test_every_definition_is_a_short_sentence_about_its_topic() -> None:
    things = definitions.everyday_things()
    assert len(things) >= 700
    for topic, answer in things.items():
        bare = re.sub(r"^(?:an?|the) ", "", topic).lower()
        assert bare in answer.lower(), topic
        assert answer[0].isupper(), topic
        assert answer.endswith("."), topic
        assert len(answer) <= 170, topic
        assert re.search(r"\b(?:is|are|was|were|tells)\b", first_sentence(answer)), topic


def test_the_things_that_are_scored_are_all_defined() -> None:
    assert set(table("lists")["common things"]) <= definitions.everyday_things().keys()


def test_every_everyday_thing_is_dealt_equally_often() -> None:
    count = len(definitions.everyday_things())
    answers = [
        visible(one["messages"][1]["content"]) for one in islice(definitions.everyday_definitions(Random(1)), 2 * count)
    ]
    assert all(answers.count(answer) >= 2 for answer in definitions.everyday_things().values() if ". " not in answer)


@pytest.mark.parametrize("name", ["people", "whys", "hows", "questions"])
def test_hand_written_answers_are_short_sentences(name: str) -> None:
    for question, answer in table(name).items():
        assert answer.endswith((".", "!")), question
        assert 10 < len(answer) < 200, question


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("A cat is a pet. Cats purr.", "A cat is a pet."),
        ("J. K. Rowling is a writer. She is British.", "J. K. Rowling is a writer."),
        ("One only.", "One only."),
        ("No stop", "No stop"),
        ("! Yes it is", "! Yes it is"),
    ],
)
def test_the_first_sentence_is_found(text: str, first: str) -> None:
    assert first_sentence(text) == first


@pytest.mark.parametrize(
    ("noun", "plural"),
    [
        ("cat", "cats"),
        ("polar bear", "polar bears"),
        ("city", "cities"),
        ("boy", "boys"),
        ("fox", "foxes"),
        ("person", "people"),
    ],
)
def test_plurals(noun: str, plural: str) -> None:
    assert definitions.plural(noun) == plural


def test_articles_and_lists() -> None:
    assert [with_article(noun) for noun in ("owl", "cat", "unicorn", "old fox")] == [
        "an owl",
        "a cat",
        "a unicorn",
        "an old fox",
    ]
    assert [listed(items) for items in (["A"], ["A", "B"], ["A", "B", "C"])] == ["A", "A and B", "A, B and C"]


@pytest.mark.parametrize(
    ("answer", "kept"),
    [
        ("A fugue (from Latin) is a piece of music. It has one tune.", "A fugue is a piece of music. It has one tune."),
        ("Short.", None),
        ("It is " + "very " * 80 + "long.", None),
        ("Страна в Европе, большая и красивая.", None),
    ],
)
def test_encyclopedia_answers_are_cut_or_given_up(answer: str, kept: str | None) -> None:
    assert definitions.shortened(answer) == kept


def test_what_is_written_by_hand_is_not_taken_from_the_encyclopedia() -> None:
    pairs = [
        QuestionAnswer("What is a cat?", "A cat is a kind of mammal that people keep."),
        QuestionAnswer("What is France?", "France is a country in the west of Europe."),
        QuestionAnswer("What is a fugue?", "A fugue is a piece of music for many voices."),
    ]
    asked = [
        str(one["messages"][0]["content"]) for one in islice(definitions.encyclopedia(Random(1), pairs, [FRANCE]), 30)
    ]
    assert all("fugue" in question for question in asked)


def test_a_capital_has_one_answer_in_every_wording() -> None:
    for one in islice(geography.capitals(Random(2), [FRANCE, STATES]), 300):
        messages = one["messages"]
        for question, answer in zip(messages[::2], messages[1::2], strict=True):
            france = "France" in str(question["content"])
            states = "The capital of the United States is Washington, D.C."
            assert answer["content"] == ("The capital of France is Paris." if france else states)


def test_people_leave_the_article_out_and_the_answer_keeps_it() -> None:
    questions = {geography.asked(Random(seed), geography.PLAIN_CAPITAL, STATES.name) for seed in range(40)}
    assert questions == {"What is the capital of United States?", "What is the capital of the United States?"}


def test_opposites_go_both_ways_where_both_are_asked() -> None:
    pairs = table("words")["opposites"]
    two_way = [word for word, other in pairs.items() if pairs.get(other) == word]
    assert len(two_way) > 80
    assert words.opposite_sentence("hot", pairs["hot"]) == "The opposite of hot is cold."


def test_a_kind_is_never_denied_to_its_own_members() -> None:
    members = {name: kind for kind in table("lists")["asked kinds"] for name in table("words")["kinds"][kind]}
    for one in islice(kinds.kind_questions(Random(3)), 1500):
        question, answer = (str(turn["content"]) for turn in one["messages"])
        match = re.fullmatch(r"Is (?:an? )?(.+?) an? (.+)\?", question)
        if match and members.get(match[1]) == match[2]:
            assert answer.startswith("Yes")
        if match and answer.startswith("Yes"):
            assert members[match[1]] == match[2]


@pytest.mark.parametrize(
    ("question", "forms"),
    [
        ("Why is the sky blue?", {"Can you tell me why the sky is blue?", "Tell me why the sky is blue."}),
        ("How do I make tea?", {"How can I make tea?", "Tell me how to make tea."}),
        ("Who wrote Hamlet?", {"Do you know who wrote Hamlet?"}),
        ("Is the Earth flat?", {"Is the Earth flat?"}),
    ],
)
def test_questions_are_reworded_in_good_grammar(question: str, forms: set[str]) -> None:
    assert forms <= {facts.reworded(Random(seed), question) for seed in range(300)}


def test_rough_typing_keeps_every_number_and_sign() -> None:
    for seed in range(500):
        rough = phrasing.roughened(Random(seed), "What is 123 * 456?")
        assert "123 * 456" in rough


def test_half_of_the_questions_stay_as_they_are_and_the_rest_differs() -> None:
    question = "What is the capital of France?"
    rough = [phrasing.roughened(Random(seed), question) for seed in range(1000)]
    assert 400 < rough.count(question) < 650
    assert len(set(rough)) > 100
