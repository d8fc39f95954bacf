"""What is a command, what it does, and what is none."""

from __future__ import annotations

from typing import Any

import pytest

from nanochat.chat.conversation import MAX_MESSAGE_CHARACTERS
from nanochat.chat.sampling import SamplingSettings
from nanochat.errors import InvalidSettingError
from nanochat.ui.commands import COMMANDS, Command, Refusal, parse

FOLLOWED: list[tuple[str, str, Any]] = [
    ("/temperature 0.8", "temperature", 0.8),
    ("/Temperature   0", "temperature", 0.0),
    ("/topk 20", "top_k", 20),
    ("/top_k 20", "top_k", 20),
    ("/top-k 20 ", "top_k", 20),
    ("/topp .5", "top_p", 0.5),
    ("/repetition_penalty 1.1", "repetition_penalty", 1.1),
    ("/max_tokens 5e2", "max_tokens", 500),
    ("/seed 42", "seed", 42),
    ("/seed random", "seed", None),
    ("/seed", "seed", None),
    ("/system You are a pirate.", "system_prompt", "You are a pirate."),
    ("/system\nLine one\nLine two", "system_prompt", "Line one\nLine two"),
    ("/system", "system_prompt", ""),
    ("/prefill Once upon a time", "prefill", "Once upon a time"),
    ("/prefill", "prefill", ""),
    ("/clear", "clear", None),
    ("/help\n", "help", None),
]

REFUSED = [
    ("/temperature", "temperature must be a number from 0 to 2."),
    ("/temperature hot", "temperature must be a number from 0 to 2."),
    ("/temperature 0,8", "temperature must be a number from 0 to 2."),
    ("/temperature 2.1", "temperature must be a number from 0 to 2."),
    ("/temperature nan", "temperature must be a number from 0 to 2."),
    ("/temperature 1e999", "temperature must be a number from 0 to 2."),
    ("/temperature " + "9" * 5_000, "temperature must be a number from 0 to 2."),
    ("/topk 2.5", "top_k must be a whole number from 0 to 200."),
    ("/topp 0", "top_p must be a number above 0 and at most 1."),
    ("/max_tokens 0", "max_tokens must be a whole number from 1 to 4096."),
    ("/seed -1", "seed must be a whole number from 0 to 4294967295 or left out."),
    ("/system " + "x" * (MAX_MESSAGE_CHARACTERS + 1), "The system prompt is too long: at most 8,000 characters."),
    ("/prefill " + "x" * (MAX_MESSAGE_CHARACTERS + 1), "The beginning of each answer is too long"),
    ("/system \ud800", "The system prompt holds half a character"),
    ("/clear now", "/clear stands alone."),
    ("/help me", "/help stands alone."),
    ("/tempreature 1", "There is no command /tempreature. Commands are /temperature, /topk"),
    ("/etc is full", "With a space before the slash it is sent as a message."),
]

MESSAGES = [
    "",
    "Hello",
    "/",
    "/ 5",
    "//clear",
    "/home/x is a folder",
    " /clear",
    "\n/clear",
    "/3 of it",
    "5/6",
    "/a.b",
    "/é",
]


@pytest.mark.parametrize(("text", "name", "value"), FOLLOWED, ids=[text for text, _, _ in FOLLOWED])
def test_a_command_sets_its_value(text: str, name: str, value: Any) -> None:
    command = parse(text)
    assert isinstance(command, Command)
    assert (command.name, command.value) == (name, value)
    assert command.note or name == "help"


@pytest.mark.parametrize(("text", "words"), REFUSED, ids=[text[:30] for text, _ in REFUSED])
def test_a_command_that_cannot_be_followed_says_what_can(text: str, words: str) -> None:
    refusal = parse(text)
    assert isinstance(refusal, Refusal)
    assert words in refusal.text


@pytest.mark.parametrize("text", MESSAGES)
def test_whatever_else_is_a_message(text: str) -> None:
    assert parse(text) is None


def test_a_bad_value_is_refused_in_the_words_of_the_settings() -> None:
    with pytest.raises(InvalidSettingError) as refused:
        SamplingSettings(top_k=201)
    assert parse("/topk 201") == Refusal(str(refused.value))


def test_every_command_that_help_lists_is_one() -> None:
    assert [example for example in COMMANDS if not isinstance(parse(example), Command)] == []
