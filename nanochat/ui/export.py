"""A chat to take away: Markdown to read, JSON to work with.

Both are made from what is remembered, so the JSON holds the exact token ids of the model's answers; its messages are
what `/generate` takes, which reads `role` and `content` and nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Callable

from nanochat.chat.conversation import Conversation, Message
from nanochat.ui.bubbles import read
from nanochat.ui.memory import recalled
from nanochat.ui.records import message_record
from nanochat.ui.reply import parts_of

_NAMES = {"system": "System", "user": "You", "assistant": "nanochat"}


def shown_conversation(remembered: Conversation, history: object) -> tuple[Message, ...]:
    """Return the chat as it is on the page, under the system prompt it was last answered with."""
    system = [message for message in remembered.messages if message.role == "system"]
    return (*system, *recalled(remembered, read(history)))


def as_markdown(messages: tuple[Message, ...]) -> str:
    """Return a document with a section for each message; the calculator's work is quoted."""
    return "\n\n".join(f"## {_NAMES[message.role]}\n\n{_markdown(message)}" for message in messages) + "\n"


def as_json(messages: tuple[Message, ...], model: str, wrote: Callable[[Message], bool]) -> str:
    """Return an object with the model's name and the messages, with their ids those that it `wrote`."""
    records = [
        message_record(message) | ({"ids": list(message.ids or ())} if wrote(message) else {}) for message in messages
    ]
    return json.dumps({"model": model, "messages": records}, indent=2, ensure_ascii=False) + "\n"


def _markdown(message: Message) -> str:
    pieces = []
    for part in parts_of(message):
        if part.type == "text":
            pieces.append(part.text)
        else:
            mark = "Calculator:" if part.type == "python" else "Result:"
            pieces.append("\n\n" + "\n".join(f"> {line}" for line in f"{mark} {part.text}".splitlines()) + "\n\n")
    return "".join(pieces).strip("\n")
