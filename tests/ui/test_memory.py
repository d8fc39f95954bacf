"""Ids are the memory and the page is a view."""

from __future__ import annotations

import pytest

from nanochat.chat.conversation import Conversation, Message
from nanochat.chat.template import ChatTemplate
from nanochat.errors import InvalidMessageError
from nanochat.ui.bubbles import drawn
from nanochat.ui.memory import NOTHING, asked, with_system
from nanochat.ui.reply import Reply, parts_of
from tests.ui.events import CALCULATION

FIRST = Message("assistant", CALCULATION, (10, 11, 12))
SECOND = Message("assistant", "Paris.", (20, 21))
REMEMBERED = Conversation(
    (Message("system", "Be brief."), Message("user", "6*7?"), FIRST, Message("user", "Capital of France?"), SECOND)
)


def shown(*messages: Message) -> list[dict[str, object]]:
    bubbles: list[dict[str, object]] = []
    for message in messages:
        if message.role == "user":
            bubbles.append({"role": "user", "content": [{"type": "text", "text": message.text}]})
        else:
            bubbles += drawn(Reply(asked_at=0, parts=parts_of(message), ids=(1,)))
    return bubbles


TURNS = REMEMBERED.messages[1:]


def test_a_chat_shown_as_remembered_keeps_all_its_ids() -> None:
    conversation = asked(REMEMBERED, shown(*TURNS), "And Spain?", "")
    assert conversation.messages == (*TURNS, Message("user", "And Spain?"))


def test_retry_and_undo_keep_the_ids_of_the_turns_before() -> None:
    conversation = asked(REMEMBERED, shown(*TURNS[:2]), "Capital of France?", "")
    assert conversation.messages == (*TURNS[:2], Message("user", "Capital of France?"))


def test_an_edited_question_is_taken_as_edited() -> None:
    edited = Message("user", "7*6?")
    conversation = asked(REMEMBERED, shown(edited, *TURNS[1:2]), "Why?", "")
    assert conversation.messages == (edited, FIRST, Message("user", "Why?"))


def test_an_answer_that_is_shown_otherwise_loses_its_ids_and_keeps_its_words() -> None:
    changed = Message("assistant", "London.")
    conversation = asked(REMEMBERED, shown(*TURNS[:3], changed), "Sure?", "")
    assert conversation.messages[3] == changed
    assert conversation.messages[1] == FIRST


def test_a_restored_chat_is_made_from_its_words_calculator_included() -> None:
    conversation = asked(NOTHING, shown(*TURNS), "And Spain?", "")
    assert [message.ids for message in conversation.messages] == [None] * 5
    assert conversation.messages[1].content == CALCULATION


def test_a_restored_chat_renders_to_the_ids_it_once_had(tiny_template: ChatTemplate) -> None:
    """Words that the model wrote token by token as the tokenizer would are the same prompt again."""
    question = Message("user", "6*7?")
    written = Conversation((question, Message("assistant", CALCULATION), Message("user", "Why?")))
    ids = tuple(tiny_template.answer_ids(written.messages[1]))
    remembered = Conversation((question, Message("assistant", CALCULATION, ids)))
    for memory in (remembered, NOTHING):
        conversation = asked(memory, shown(*remembered.messages), "Why?", "")
        assert tiny_template.prompt(conversation) == tiny_template.prompt(written)


def test_a_system_prompt_is_that_of_the_setting_now() -> None:
    assert asked(REMEMBERED, shown(*TURNS), "Hi", "Be long.").messages[0] == Message("system", "Be long.")
    assert asked(REMEMBERED, shown(*TURNS), "Hi", " \n").messages[0].role == "user"


def test_no_system_prompt_leaves_one_that_is_there() -> None:
    assert with_system(REMEMBERED, None) == with_system(REMEMBERED, "") == REMEMBERED


@pytest.mark.parametrize("system_prompt", [5, True, ["x"], {"a": 1}, "x" * 8_001, "\ud800"])
def test_a_bad_system_prompt_is_refused(system_prompt: object) -> None:
    with pytest.raises(InvalidMessageError):
        asked(NOTHING, [], "Hi", system_prompt)


@pytest.mark.parametrize("message", [None, 5, "", "  ", "x" * 8_001, "\ud800", {"text": "x"}])
def test_a_bad_message_is_refused(message: object) -> None:
    with pytest.raises(InvalidMessageError):
        asked(NOTHING, [], message, "")


def test_five_hundred_messages_are_the_most() -> None:
    question, answer = Message("user", "a"), Message("assistant", "b")
    assert asked(NOTHING, shown(*[question, answer] * 249), "c", "")
    with pytest.raises(InvalidMessageError, match="500"):
        asked(NOTHING, shown(*[question, answer] * 250), "c", "")
