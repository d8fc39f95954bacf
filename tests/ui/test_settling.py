"""The page after an answer: marked, saved, and nothing lost."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import gradio as gr

from nanochat.chat.conversation import Conversation, Message
from nanochat.ui.bubbles import carried_ids, drawn
from nanochat.ui.memory import NOTHING
from nanochat.ui.settling import given_back, settled
from tests.ui.events import plain_reply, started, token
from tests.ui.test_reply import fold

QUESTION = {"role": "user", "content": [{"type": "text", "text": "Why is the sky blue?"}]}
STOPPED = drawn(fold([started(), token("Because", 4), token(" of", 5)]))
REMEMBERED = Conversation((Message("user", "Why is the sky blue?"), Message("assistant", "Because of", (4, 5))))


def test_a_stopped_answer_says_so_and_can_be_continued_from_its_ids() -> None:
    shown, state, place, saved = settled([QUESTION, *STOPPED], REMEMBERED, 0, [[QUESTION], ["other"]])  # type: ignore[list-item]
    assert shown[-1]["metadata"]["title"].endswith("· stopped")
    assert carried_ids(shown) == (4, 5)
    assert (state, place, saved) == (shown, 0, [shown, ["other"]])


def test_a_finished_answer_is_left_alone() -> None:
    finished = [QUESTION, *drawn(fold(plain_reply("It scatters.")))]
    shown, state, *_ = settled(finished, REMEMBERED, None, None)
    assert shown == gr.skip()
    assert state == finished
    assert "options" not in finished[-1]


def test_a_cut_answer_carries_its_ids() -> None:
    reply = fold(plain_reply("It scatters."))
    assert reply.done is not None
    cut = replace(reply, done=replace(reply.done, finish_reason="length"))
    assert carried_ids(drawn(cut)) == reply.ids
    assert carried_ids(drawn(reply)) is None


def text_of(box: Any) -> Any:
    return box.value if isinstance(box, gr.Textbox) else box.get("value")


def test_a_question_that_failed_comes_back() -> None:
    before: list[Any] = [QUESTION, *STOPPED]
    second = {"role": "user", "content": [{"type": "text", "text": "And the grass?"}]}
    shown, state, place, saved, box = given_back([*before, second], REMEMBERED, 1, [["other"], [*before, second]])
    assert shown == state == before
    assert (place, saved) == (1, [["other"], before])
    assert text_of(box) == "And the grass?"


def test_the_first_question_of_a_chat_comes_back_and_no_empty_chat_is_saved() -> None:
    shown, state, place, saved, box = given_back([QUESTION], NOTHING, None, None)
    assert shown == state == []
    assert place == saved == gr.skip()
    assert text_of(box) == "Why is the sky blue?"


def test_an_answer_that_had_begun_stays_and_can_be_continued() -> None:
    shown, *_, box = given_back([QUESTION, *STOPPED], REMEMBERED, None, None)
    assert "stopped" in shown[-1]["metadata"]["title"]
    assert carried_ids(shown) == (4, 5)
    assert not text_of(box)


def test_an_empty_chat_is_not_saved() -> None:
    assert settled([], NOTHING, None, [["other"]]) == [gr.skip()] * 4  # type: ignore[list-item]


def test_where_nothing_failed_only_the_box_is_opened() -> None:
    *chat, box = given_back([], REMEMBERED, None, None)
    assert chat == [gr.skip()] * 4
    assert not text_of(box)
