"""The held-out questions are the same every time, have good answers, and stay out of training."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from nanochat.chat.conversation import Conversation
from nanochat.recipe.conversations import reserved
from nanochat.recipe.conversations.dialogue import table
from nanochat.recipe.conversations.mixture import labelled_conversations
from nanochat.recipe.held_out import Question, held_out_questions, held_out_texts, plain
from tests.recipe.small_corpus import write_small_corpus


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module")
def questions(folder: Path) -> list[Question]:
    return held_out_questions(folder)


def test_the_questions_are_the_same_every_time(folder: Path, questions: list[Question]) -> None:
    again = held_out_questions(folder)
    assert [question.messages for question in again] == [question.messages for question in questions]


def test_every_subject_has_its_questions(questions: list[Question]) -> None:
    counts = Counter(question.subject for question in questions)
    assert counts["arithmetic"] == 200
    assert counts["definitions"] == 100
    assert counts["name memory"] == counts["stories"] == counts["follow-ups"] == 50
    assert {"letters", "capitals", "capitals, other wording", "facts", "system prompts"} <= counts.keys()


def test_every_question_is_a_conversation_that_waits_for_an_answer(questions: list[Question]) -> None:
    for question in questions:
        conversation = Conversation.from_messages(list(question.messages))
        assert conversation.messages[-1].role == "user"


def test_the_reference_gets_full_points_and_nonsense_none(questions: list[Question]) -> None:
    for question in questions:
        if question.subject == "stories":
            continue
        reference = question.reference
        if question.subject == "system prompts" and "sentence" in question.messages[0]["content"]:
            reference = reference.split(". ")[0].rstrip(".") + "."
        if question.subject == "arithmetic":
            value = float(reference)
            reference = f"{value:.2f}" if value >= 0.01 or value <= 0 else "less than 0.01"
        assert question.score(reference) == 1, question
        assert question.score("qqq") == 0, question


def test_training_holds_no_held_out_question(folder: Path) -> None:
    unseen = held_out_texts(folder)
    epoch = labelled_conversations(folder, seed=5, scale=0.05)
    asked = {
        plain(turn["content"])
        for _, made in epoch
        for turn in made["messages"]
        if turn["role"] == "user" and isinstance(turn["content"], str)
    }
    assert len(asked) > 3000
    assert not asked & unseen


def test_training_never_uses_a_reserved_name_or_wording() -> None:
    assert not set(table("lists")["names"]) & set(reserved.HELD_OUT_NAMES)
    trained = {plain(wording) for values in table("wordings").values() for wording in values}
    kept_back = [*reserved.CAPITAL_WORDINGS, *reserved.DEFINITION_WORDINGS, *reserved.STORY_WORDINGS]
    kept_back += [
        reserved.OPPOSITE_WORDING,
        reserved.SYMBOL_WORDING,
        reserved.CONTINENT_WORDING,
        reserved.NAME_QUESTION,
    ]
    assert not trained & {plain(wording) for wording in kept_back}


def test_small_sums_and_the_page_s_own_examples_are_never_reserved() -> None:
    assert not any(reserved.is_reserved_sum(left, right) for left in range(20) for right in range(20))
    assert not reserved.is_reserved_sum(123, 456)
    assert not reserved.is_reserved_word("strawberry")


def test_a_fixed_part_of_pairs_and_words_is_reserved() -> None:
    kept = sum(reserved.is_reserved_sum(left, right) for left in range(100, 200) for right in range(100, 200))
    assert 300 < kept < 500
