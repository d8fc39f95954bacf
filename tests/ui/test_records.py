"""An answer as an object for programs."""

from __future__ import annotations

import json

import pytest

from nanochat.chat.conversation import Conversation
from nanochat.ui.records import UPDATE_SECONDS, generation
from tests.ui.events import calculating_reply, done, plain_reply, started


def events_of(items: list[object]):  # type: ignore[no-untyped-def]
    yield from items


def clock_of(step: float):  # type: ignore[no-untyped-def]
    times = iter(range(1_000_000))
    return lambda: next(times) * step


def test_the_last_object_is_whole_and_is_json() -> None:
    *_, result = generation(events_of(calculating_reply()), clock_of(0))
    assert json.loads(json.dumps(result)) == result
    assert result["text"] == "Let me see.  It is 42."
    assert result["ids"] == [token["id"] for token in result["tokens"]] == list(range(10, 19))
    assert [token["forced"] for token in result["tokens"]] == [False] * 4 + [True] * 3 + [False] * 2
    assert result["usage"] == {
        "prompt_tokens": 3,
        "completion_tokens": 9,
        "total_tokens": 12,
        "prompt_tokens_details": {"cached_tokens": 1},
    }
    assert result["seed"] == 42


def test_the_message_can_be_sent_back() -> None:
    *_, result = generation(events_of(calculating_reply()), clock_of(0))
    again = Conversation.from_messages([{"role": "user", "content": "6*7?"}, result["message"]])
    assert again.messages[1].content == calculating_reply()[-1].message.content  # type: ignore[union-attr]


@pytest.mark.parametrize(("reason", "word"), [("stop", "stop"), ("length", "length"), ("deadline", "length")])
def test_endings_have_the_names_of_openai(reason: str, word: str) -> None:
    message = plain_reply("Hi")[-1].message  # type: ignore[union-attr]
    *_, result = generation(events_of([started(), done(message, finish_reason=reason)]), clock_of(0))
    assert result["finish_reason"] == word


def test_updates_come_ten_times_a_second_and_hold_the_text_so_far() -> None:
    *updates, result = generation(events_of(plain_reply("one two three four")), clock_of(UPDATE_SECONDS))
    assert updates[-1] == {"text": "one two three four", "finish_reason": None}
    assert all(result["text"].startswith(update["text"]) for update in updates)


def test_a_fast_answer_is_one_object() -> None:
    assert len(list(generation(events_of(plain_reply("one two three four")), clock_of(0)))) == 1
