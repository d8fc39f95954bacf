"""Questions and chats of a wished length that nothing was read of before."""

from __future__ import annotations

import pytest

from nanochat.bench.questions import TURNS, asked_otherwise, chat, question
from nanochat.chat.template import ChatTemplate
from nanochat.model.cache import reusable_length

# <|bos|>, <|user_start|> and two digits.
ALIKE = 4


@pytest.mark.parametrize("tokens", [8, 32, 200])
def test_a_question_has_its_length_and_a_beginning_of_its_own(tiny_template: ChatTemplate, tokens: int) -> None:
    prompts = [tiny_template.prompt(question(tiny_template, number, tokens)) for number in range(25)]
    assert all(tokens <= len(prompt) <= tokens + 20 for prompt in prompts)
    for place, prompt in enumerate(prompts):
        assert all(reusable_length(other, prompt) <= ALIKE for other in prompts[:place] if other is not prompt)


def test_a_chat_has_its_turns_and_its_length(tiny_template: ChatTemplate) -> None:
    long = chat(tiny_template, 3, 400)
    assert [message.role for message in long.messages] == ["user", "assistant"] * (TURNS - 1) + ["user"]
    assert 320 <= len(tiny_template.prompt(long)) <= 560


def test_asked_otherwise_all_but_the_last_message_is_the_same(tiny_template: ChatTemplate) -> None:
    long = chat(tiny_template, 3, 400)
    other = asked_otherwise(tiny_template, long, 4)
    first, second = tiny_template.prompt(long), tiny_template.prompt(other)
    before = len(tiny_template.render(type(long)(long.messages[:-1]))[0])
    assert before <= reusable_length(first, second) <= before + ALIKE
