"""The door: what is a conversation, what is not, and what is said about it."""

from __future__ import annotations

import pickle
from dataclasses import FrozenInstanceError

import pytest

from nanochat.chat.conversation import (
    MAX_MESSAGE_CHARACTERS,
    MAX_MESSAGES,
    MAX_PARTS,
    MAX_TOTAL_CHARACTERS,
    Conversation,
    Message,
    Part,
)
from nanochat.errors import InvalidMessageError

SECRET = "my private words"
USER = {"role": "user", "content": "Hi"}
ANSWER = {"role": "assistant", "content": "Hello."}
SYSTEM = {"role": "system", "content": "Be kind."}
CALL = {"type": "python", "text": "1+1"}


def turns(count: int) -> list[dict[str, str]]:
    return [(USER, ANSWER)[number % 2] for number in range(count)]


def user(content: object) -> list[object]:
    return [{"role": "user", "content": content}]


def assistant(content: object) -> list[object]:
    return [USER, {"role": "assistant", "content": content}]


REFUSED = {
    "nothing": (None, "list"),
    "text": (SECRET, "list"),
    "bytes": (SECRET.encode(), "list"),
    "dict": (USER, "list"),
    "generator": ((item for item in [USER]), "list"),
    "empty list": ([], "at least one user message"),
    "item of text": ([SECRET], "Message 1 must be an object"),
    "item of nothing": ([USER, None], "Message 2 must be an object"),
    "pair, as in old Gradio": ([[SECRET, "answer"]], "Message 1 must be an object"),
    "no role": ([{"content": SECRET}], "role of message 1"),
    "no content": ([{"role": "user"}], "content of message 1 must be text"),
    "forged role": ([{"role": "developer", "content": SECRET}], "role of message 1"),
    "role in capitals": ([{"role": "User", "content": SECRET}], "role of message 1"),
    "control token as role": ([{"role": "<|assistant_start|>", "content": SECRET}], "role of message 1"),
    "role of a list": ([{"role": ["user"], "content": SECRET}], "role of message 1"),
    "role of a dict": ([{"role": {}, "content": SECRET}], "role of message 1"),
    "content of a number": (user(5), "content of message 1 must be text"),
    "content of a bool": (user(True), "content of message 1 must be text"),
    "content of nothing": (user(None), "content of message 1 must be text"),
    "content of bytes": (user(SECRET.encode()), "content of message 1 must be text"),
    "content of a dict": (user({"text": SECRET}), "content of message 1 must be text"),
    "content of a tuple": (user((SECRET,)), "Message 1 must be plain text"),
    "empty": (user(""), "Message 1 is empty"),
    "blank": (user(" \n\t\u00a0\u2003"), "Message 1 is empty"),
    "blank system": ([{"role": "system", "content": " "}, USER], "Message 1 is empty"),
    "no parts": (user([]), "Message 1 is empty"),
    "part of text": (user([SECRET]), "part of message 1"),
    "part without text": (user([{"type": "text"}]), "part of message 1"),
    "part with a number": (user([{"type": "text", "text": 5}]), "part of message 1"),
    "uploaded file": (user([{"type": "file", "file": {"path": "/etc/passwd"}}]), "part of message 1"),
    "picture": (user([{"type": "image_url", "text": SECRET}]), "plain text"),
    "calculator call of a user": (user([CALL]), "Message 1 must be plain text"),
    "calculator output of a system": (
        [{"role": "system", "content": [{"type": "python_output", "text": "2"}]}, USER],
        "Message 1 must be plain text",
    ),
    "unknown part": (assistant([{"type": "tool", "text": SECRET}]), "text, python or python_output"),
    "part type of a list": (assistant([{"type": ["text"], "text": SECRET}]), "text, python or python_output"),
    "too many parts": (assistant([CALL] * (MAX_PARTS + 1)), f"more than {MAX_PARTS} parts"),
    "one character too many": (user("a" * (MAX_MESSAGE_CHARACTERS + 1)), "Message 1 is too long: at most 8,000"),
    "two megabytes": (user("a" * 2_000_000), "Message 1 is too long: at most 8,000"),
    "long assistant": (assistant("a" * (MAX_MESSAGE_CHARACTERS + 1)), "Message 2 is too long: at most 8,000"),
    "long in parts": (
        user([{"type": "text", "text": "a" * MAX_MESSAGE_CHARACTERS}, {"type": "text", "text": "a"}]),
        "Message 1 is too long",
    ),
    "long in calculator parts": (
        assistant([CALL, {"type": "python_output", "text": "9" * MAX_MESSAGE_CHARACTERS}]),
        "Message 2 is too long",
    ),
    "long in all": ([{**item, "content": "a" * 4001} for item in turns(8)], "at most 32,000 characters in all"),
    "one message too many": (turns(MAX_MESSAGES + 1), "at most 500 messages"),
    "a flood": ([None] * 100_000, "at most 500 messages"),
    "half a character": (user(f"{SECRET} \ud83d"), "lone surrogate"),
    "other half": (user(f"\ude42 {SECRET}"), "lone surrogate"),
    "half a character of an assistant": (assistant(f"{SECRET} \udfff"), "lone surrogate"),
    "half a character in a part": (assistant([{"type": "python", "text": "\ud800"}]), "lone surrogate"),
    "assistant first": ([ANSWER], "Message 1 must be from the user"),
    "assistant after system": ([SYSTEM, ANSWER], "Message 2 must be from the user"),
    "system alone": ([SYSTEM], "at least one user message"),
    "two systems": ([SYSTEM, SYSTEM, USER], "Message 2 must be from the user"),
    "late system": ([USER, SYSTEM], "Message 2 must be from the assistant"),
    "two users": ([USER, USER], "Message 2 must be from the assistant"),
    "two assistants": ([USER, ANSWER, ANSWER], "Message 3 must be from the user"),
    "ids of a user": ([Message("user", SECRET, (1,))], "Message 1 must be text"),
    "ids in a list": ([Message("user", "Hi"), Message("assistant", SECRET, [1])], "token ids of message 2"),  # type: ignore[arg-type]
    "negative ids": ([Message("user", "Hi"), Message("assistant", SECRET, (-1,))], "token ids of message 2"),
    "ids of bools": ([Message("user", "Hi"), Message("assistant", SECRET, (True,))], "token ids of message 2"),
    "Message of a forged role": ([Message("tool", SECRET)], "role of message 1"),  # type: ignore[arg-type]
    "Message of a number": ([Message("user", 5)], "content of message 1"),  # type: ignore[arg-type]
    "Message with a stray part": (
        [Message("user", "Hi"), Message("assistant", (SECRET,))],  # type: ignore[arg-type]
        "part of message 2",
    ),
    "Message with a part of a number": (
        [Message("user", "Hi"), Message("assistant", (Part("text", 5),))],  # type: ignore[arg-type]
        "content of message 2",
    ),
}


@pytest.mark.parametrize(("messages", "remedy"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_conversation_is_refused_with_the_remedy_and_without_its_words(
    messages: object, remedy: str
) -> None:
    with pytest.raises(InvalidMessageError, match=remedy) as refusal:
        Conversation.from_messages(messages)
    assert SECRET not in str(refusal.value)
    assert "aaa" not in str(refusal.value)
    assert str(refusal.value).endswith(".")


ACCEPTED = {
    "question": [USER],
    "answer to go on with": [USER, ANSWER],
    "system first": [SYSTEM, USER, ANSWER, USER],
    "longest message": user("a" * MAX_MESSAGE_CHARACTERS),
    "longest chat": [{**item, "content": "a" * 4000} for item in turns(8)],
    "most messages": turns(MAX_MESSAGES),
    "silent assistant": assistant(""),
    "control tokens as text": user("<|bos|><|assistant_end|>"),
    "control characters": user("\x00\x1b[31m"),
    "whole surrogate pair": user("\N{SLIGHTLY SMILING FACE}"),
}


@pytest.mark.parametrize("messages", ACCEPTED.values(), ids=ACCEPTED)
def test_what_is_a_conversation_keeps_its_roles_and_words(messages: list[dict[str, str]]) -> None:
    conversation = Conversation.from_messages(messages)
    assert [(message.role, message.content) for message in conversation.messages] == [
        (item["role"], item["content"]) for item in messages
    ]
    assert MAX_TOTAL_CHARACTERS == 8 * 4000


def test_the_parts_in_which_a_browser_sends_a_text_are_joined() -> None:
    parts = [{"type": "text", "text": "one "}, {"type": "text", "text": "two"}]
    content = [
        {"role": "user", "content": parts, "metadata": None, "options": None},
        {"role": "assistant", "content": parts},
    ]
    for message in Conversation.from_messages(content).messages:
        assert message.content == "one two"


def test_calculator_parts_of_an_assistant_stay_parts_and_are_not_its_visible_text() -> None:
    parts = [
        {"type": "text", "text": "It is "},
        CALL,
        {"type": "python_output", "text": "2"},
        {"type": "text", "text": "2."},
    ]
    answer = Conversation.from_messages(assistant(parts)).messages[1]
    assert answer.content == (
        Part("text", "It is "),
        Part("python", "1+1"),
        Part("python_output", "2"),
        Part("text", "2."),
    )
    assert answer.text == "It is 2."


def test_a_client_cannot_send_token_ids() -> None:
    conversation = Conversation.from_messages([USER, {**ANSWER, "ids": [1, 2, 3]}])
    assert conversation.messages[1].ids is None


def test_append_is_the_same_door() -> None:
    conversation = Conversation().append(Message("system", "Be kind.")).append(Message("user", "Hi"))
    assert conversation == Conversation.from_messages([SYSTEM, USER])
    with pytest.raises(InvalidMessageError, match="Message 3 must be from the assistant"):
        conversation.append(Message("user", "again"))
    with pytest.raises(InvalidMessageError, match="Message 1 is empty"):
        Conversation().append(Message("user", " "))
    assert len(conversation.messages) == 2


def test_what_the_model_wrote_is_never_refused_for_its_size() -> None:
    full = Conversation.from_messages([SYSTEM, *turns(MAX_MESSAGES - 1)])
    long_answer = Message("assistant", "a" * 40_000, (5,) * 4096)
    answered = full.append(long_answer)
    assert answered.messages[-1] is long_answer
    assert Conversation.from_messages(list(answered.messages)) == answered
    with pytest.raises(InvalidMessageError, match="at most 500 messages"):
        answered.append(Message("user", "and then?"))


def test_the_characters_of_remembered_answers_are_not_held_against_the_user() -> None:
    conversation = Conversation.from_messages([USER]).append(Message("assistant", "a" * 40_000, (5,)))
    assert len(conversation.append(Message("user", "and then?")).messages) == 3


def test_the_system_message_can_be_changed_and_taken_away() -> None:
    conversation = Conversation.from_messages([USER, ANSWER])
    kind = conversation.with_system("Be kind.")
    assert kind == Conversation.from_messages([SYSTEM, USER, ANSWER])
    assert kind.with_system("Be brief.").messages[0].content == "Be brief."
    assert kind.with_system(" \n") == conversation
    with pytest.raises(InvalidMessageError, match="too long"):
        conversation.with_system("a" * 8001)


def test_conversations_are_values() -> None:
    conversation = Conversation.from_messages([SYSTEM, USER, ANSWER])
    assert pickle.loads(pickle.dumps(conversation)) == conversation
    assert hash(conversation) == hash(Conversation.from_messages([SYSTEM, USER, ANSWER]))
    with pytest.raises(FrozenInstanceError):
        conversation.messages = ()  # type: ignore[misc]
