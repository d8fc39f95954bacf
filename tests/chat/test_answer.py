"""What the ids of an answer mean: text for the reader, calls and results for the calculator."""

from __future__ import annotations

import pytest

from nanochat.chat.answer import Answer
from nanochat.chat.conversation import Part
from nanochat.chat.template import ChatTemplate


def calculated(template: ChatTemplate, call: str, result: str) -> list[int]:
    control = template.control
    return [
        control.python_start,
        *template.encode(call),
        control.python_end,
        control.output_start,
        *template.encode(result),
        control.output_end,
    ]


def test_plain_text_is_a_string(tiny_template: ChatTemplate) -> None:
    ids = tiny_template.encode("The fox 🦊 ran.")
    answer = Answer(tiny_template)
    assert "".join(answer.push(token_id) for token_id in ids) == "The fox 🦊 ran."
    assert answer.message().content == "The fox 🦊 ran."
    assert answer.message().ids == tuple(ids)


def test_calculator_ids_are_parts_and_not_text(tiny_template: ChatTemplate) -> None:
    before, after = tiny_template.encode("It is "), tiny_template.encode("46.")
    ids = [*before, *calculated(tiny_template, "12+34", "46"), *after]
    answer = Answer(tiny_template)
    shown = "".join(answer.push(token_id) for token_id in ids)
    message = answer.message()
    assert shown == message.text == "It is 46."
    assert message.content == (
        Part("text", "It is "),
        Part("python", "12+34"),
        Part("python_output", "46"),
        Part("text", "46."),
    )
    assert message.ids == tuple(ids)


def test_a_call_is_known_at_its_last_id_and_no_longer(tiny_template: ChatTemplate) -> None:
    calls = []
    answer = Answer(tiny_template)
    for token_id in calculated(tiny_template, "12+34", "46"):
        answer.push(token_id)
        calls.append(answer.call)
    assert [call for call in calls if call is not None] == ["12+34"]
    assert calls[calls.index("12+34") + 1] is None


@pytest.mark.parametrize("names", [("python_end",), ("output_end",), ("python_start", "python_end"), ("output_start",)])
def test_stray_control_tokens_call_nothing(tiny_template: ChatTemplate, names: tuple[str, ...]) -> None:
    answer = Answer(tiny_template, [getattr(tiny_template.control, name) for name in names])
    assert answer.call is None
    assert answer.message().text == ""


def test_an_answer_resumes_within_a_call_and_within_a_character(tiny_template: ChatTemplate) -> None:
    ids = [*tiny_template.encode("日本語"), *calculated(tiny_template, "1+2", "3")]
    whole = Answer(tiny_template, ids)
    for cut in range(len(ids) + 1):
        resumed = Answer(tiny_template, ids[:cut])
        before = resumed.message().text
        assert before + "".join(resumed.push(token_id) for token_id in ids[cut:]) == "日本語"
        assert resumed.message() == whole.message()


def test_half_a_character_is_kept_in_ids_and_left_out_of_text(tiny_template: ChatTemplate) -> None:
    ids = tiny_template.encode("a🎉")
    assert len(ids) > 2
    message = Answer(tiny_template, ids[:-1]).message()
    assert message.text == "a"
    assert message.ids == tuple(ids[:-1])
