"""A chat that was taken away is the chat that was shown."""

from __future__ import annotations

import json

from nanochat.chat.conversation import Conversation, Message
from nanochat.ui.export import as_json, as_markdown, shown_conversation
from tests.ui.events import CALCULATION
from tests.ui.test_memory import REMEMBERED, TURNS, shown

MESSAGES = shown_conversation(REMEMBERED, shown(*TURNS))


def remembered(message: Message) -> bool:
    return message.ids is not None


def test_ids_of_another_model_than_the_one_that_is_named_are_left_out() -> None:
    record = json.loads(as_json(MESSAGES, "another", lambda message: False))
    assert not any("ids" in message for message in record["messages"])


def test_what_is_shown_is_taken_with_the_ids_it_is_remembered_by() -> None:
    assert REMEMBERED.messages == MESSAGES


def test_an_undone_turn_is_not_taken_along() -> None:
    assert shown_conversation(REMEMBERED, shown(*TURNS[:2])) == REMEMBERED.messages[:3]


def test_json_holds_ids_and_is_taken_back_by_the_api() -> None:
    record = json.loads(as_json(MESSAGES, "embedded", remembered))
    assert record["model"] == "embedded"
    assert record["messages"][2]["ids"] == [10, 11, 12]
    again = Conversation.from_messages(record["messages"])
    assert [(message.role, message.content) for message in again.messages] == [
        (message.role, message.content) for message in MESSAGES
    ]


def test_markdown_has_a_section_for_each_message_and_quotes_the_calculator() -> None:
    text = as_markdown(MESSAGES)
    assert text.startswith("## System\n\nBe brief.\n\n## You\n\n6*7?\n\n## nanochat\n\nLet me see.")
    assert "> Calculator: 6*7\n\n" in text
    assert "> Result: 42\n" in text
    assert text.endswith("## nanochat\n\nParis.\n")


def test_code_and_other_alphabets_survive() -> None:
    message = Message("assistant", "```python\n    x = 1\n```\n日本語 🦊")
    assert message.text in as_markdown((message,))
    assert "日本語 🦊" in as_json((message,), "m", remembered)


def test_nothing_but_the_calculation_is_a_message_too() -> None:
    assert "> Result: 42" in as_markdown((Message("assistant", CALCULATION[1:3]),))
