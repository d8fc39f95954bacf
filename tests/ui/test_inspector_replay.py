"""A replayed chat is shown and set as it was."""

from __future__ import annotations

from dataclasses import asdict

from nanochat.chat.conversation import Conversation, Message, Part
from nanochat.chat.sampling import SamplingSettings
from nanochat.ui.bubbles import read
from nanochat.ui.controls import ABOUT
from nanochat.ui.inspector_replay import bubbles_of, setting_values
from tests.chat.engines import asked


def test_the_turns_before_the_answer_are_drawn_as_they_are_read_back() -> None:
    parts = (Part("text", "It is "), Part("python", "1+1"), Part("python_output", "2"), Part("text", "2."))
    turns = (Message("user", "1+1?"), Message("assistant", parts, (5, 6)), Message("user", "Sure?"))
    chat = Conversation((Message("system", "Be brief."), *turns))
    bubbles = bubbles_of(chat)
    # A question without an answer is drawn, and read back only with the one that follows.
    assert bubbles[-1]["content"] == [{"type": "text", "text": "Sure?"}]
    assert [(message.role, message.content) for message in read(bubbles)] == [
        (message.role, message.content) for message in turns[:-1]
    ]


def test_an_answer_that_is_continued_is_left_for_the_reply_to_draw() -> None:
    assert len(bubbles_of(asked("Who?", "The fox"))) == 1


def test_every_control_gets_its_value() -> None:
    settings = SamplingSettings(temperature=1.3, top_k=7, seed=9)
    chat = Conversation((Message("system", "Hm."), *asked("Who?").messages))
    values = dict(zip(ABOUT, setting_values(chat, settings), strict=True))
    assert values == {"system_prompt": "Hm.", **asdict(settings)}
    assert setting_values(asked("Who?"), settings)[0] == ""
