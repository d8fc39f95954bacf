"""Questions of a given length, each different from its beginning on.

An engine that remembers what it has read would answer the same question sooner the second time. That is a figure of its
own; everywhere else no two questions begin alike.
"""

from __future__ import annotations

from random import Random

from nanochat.chat.conversation import Conversation, Message
from nanochat.chat.template import ChatTemplate

WORDS = ("river", "stone", "winter", "garden", "letter", "silver", "morning", "engine", "forest", "window")
QUESTION_TOKENS = 32
TURNS = 8
# Of a turn, what the user says; the rest is the answer.
USER_SHARE = 0.3


def question(template: ChatTemplate, number: int, tokens: int = QUESTION_TOKENS) -> Conversation:
    """Return a first message of about so many tokens; another number, another beginning."""
    return Conversation((Message("user", _text(template, number, tokens)),))


def chat(template: ChatTemplate, number: int, tokens: int, turns: int = TURNS) -> Conversation:
    """Return a chat of about so many tokens that ends in the user's last message."""
    asked = round(tokens / turns * USER_SHARE)
    answered = tokens // turns - asked
    messages = [Message("user", _text(template, number, asked))]
    for turn in range(1, turns):
        text = _text(template, 100 * number + turn, answered)
        messages.append(Message("assistant", text))
        messages.append(Message("user", _text(template, 1000 * number + turn, asked)))
    return Conversation(tuple(messages))


def asked_otherwise(template: ChatTemplate, asked: Conversation, number: int) -> Conversation:
    """Return the chat with another last message of the same length: all before it has been read."""
    tokens = len(template.encode(asked.messages[-1].text))
    return Conversation((*asked.messages[:-1], Message("user", _text(template, number, tokens))))


def _text(template: ChatTemplate, number: int, tokens: int) -> str:
    random = Random(number)
    # Backwards, since numbers in a row differ in the last digit and texts are to differ in the first.
    text = str(number)[::-1]
    while len(template.encode(text)) < tokens:
        text += f" {random.choice(WORDS)}"
    return text
