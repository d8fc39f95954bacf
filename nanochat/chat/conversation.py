"""Messages, and the one door through which they come in.

Page, API and command line all build a `Conversation`, and a `Conversation` cannot exist in a shape the model was never
trained on: at most one system message first, then user and assistant in turn. Whatever is behind this door (template,
engine, page) relies on that and checks nothing again.

What the model wrote is remembered as the token ids it produced (`Message.ids`). A dict carries no ids: what a client
sends is text, and text never becomes a control token.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal, cast

from nanochat.errors import InvalidMessageError

Role = Literal["system", "user", "assistant"]
PartType = Literal["text", "python", "python_output"]

# karpathy/nanochat, scripts/chat_web.py: MAX_MESSAGES_PER_REQUEST, MAX_MESSAGE_LENGTH, MAX_TOTAL_CONVERSATION_LENGTH.
MAX_MESSAGES = 500
MAX_MESSAGE_CHARACTERS = 8_000
MAX_TOTAL_CHARACTERS = 32_000
# Each part costs control tokens even when its text is empty, so their number needs a bound of its own.
MAX_PARTS = 500

# Half of a UTF-16 pair is no character: no tokenizer reads it, no file stores it.
_SURROGATE = re.compile(r"[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of an assistant message: plain text, a calculator expression, or the calculator's output."""

    type: PartType
    text: str


@dataclass(frozen=True, slots=True)
class Message:
    """One message. With `ids`, an assistant message is rendered from exactly those and `content` is only for show.

    `ids` are what stood between <|assistant_start|> and <|assistant_end|>, both excluded, calculator tokens included.
    They mean something to one tokenizer only: `vocabulary` is its fingerprint, empty for that of whoever reads them.
    """

    role: Role
    content: str | tuple[Part, ...]
    ids: tuple[int, ...] | None = None
    vocabulary: str = field(default="", compare=False)

    @property
    def text(self) -> str:
        """What a reader sees: the text without the calculator's parts."""
        if isinstance(self.content, str):
            return self.content
        return "".join(part.text for part in self.content if part.type == "text")


@dataclass(frozen=True, slots=True)
class Conversation:
    """Messages in an order the model knows, within the limits; raises InvalidMessageError when they are not.

    The limits guard against what people send. What the model itself wrote (`ids` present) is bounded by `max_tokens`
    and is never refused, or an answer would be lost after it was computed.
    """

    messages: tuple[Message, ...] = ()

    def __post_init__(self) -> None:
        if len(self.messages) > MAX_MESSAGES and self.messages[-1].ids is None:
            raise _too_many()
        for number, message in enumerate(self.messages, start=1):
            _check_message(message, number)
        _check_order(self.messages)
        _check_size(self.messages)

    @classmethod
    def from_messages(cls, messages: object) -> Conversation:
        """Take a list of Message objects or of dicts with `role` and `content`; further keys of a dict are not read.

        `content` is a string, or a list of parts: `{"type": "text", "text": …}` as a browser sends it, for an assistant
        also nanochat's own `python` and `python_output`. Raises InvalidMessageError.
        """
        if not isinstance(messages, (list, tuple)):
            raise InvalidMessageError("Messages must be a list of objects with role and content.")
        if len(messages) > MAX_MESSAGES + 1:  # one more than allowed may still end in the model's own answer
            raise _too_many()
        conversation = cls(tuple(_message_from(item, number) for number, item in enumerate(messages, start=1)))
        if not any(message.role == "user" for message in conversation.messages):
            raise InvalidMessageError("A conversation needs at least one user message.")
        return conversation

    def append(self, message: Message) -> Conversation:
        """Return the conversation that goes on with this message. Raises InvalidMessageError."""
        return Conversation((*self.messages, message))

    def with_system(self, text: str) -> Conversation:
        """Return the same turns under this system message, or under none when the text is blank."""
        turns = tuple(message for message in self.messages if message.role != "system")
        return Conversation((Message("system", text), *turns) if text.strip() else turns)


def _too_many() -> InvalidMessageError:
    return InvalidMessageError(f"This chat is too long: at most {MAX_MESSAGES} messages. Start a new one.")


def _message_from(item: object, number: int) -> Message:
    """Read a dict for its shape alone; whether the values are right is for `_check_message`, as with every message."""
    if isinstance(item, Message):
        return item
    if not isinstance(item, dict):
        raise InvalidMessageError(f"Message {number} must be an object with role and content.")
    content = item.get("content")
    if isinstance(content, list):
        content = _content_from_parts(content, number)
    return Message(cast(Role, item.get("role")), cast(str, content))


def _content_from_parts(items: list[object], number: int) -> str | tuple[Part, ...]:
    if len(items) > MAX_PARTS:
        raise InvalidMessageError(f"Message {number} has more than {MAX_PARTS} parts.")
    parts = []
    for item in items:
        if not isinstance(item, dict) or not isinstance(item.get("text"), str):
            raise InvalidMessageError(f"Each part of message {number} must be an object with type and text.")
        parts.append(Part(cast(PartType, item.get("type")), item["text"]))
    # A browser cuts one text into several parts at will; only calculator parts have borders that mean something.
    if all(part.type == "text" for part in parts):
        return "".join(part.text for part in parts)
    return tuple(parts)


def _check_message(message: Message, number: int) -> None:
    if message.role not in ("system", "user", "assistant"):
        raise InvalidMessageError(f"The role of message {number} must be system, user or assistant.")
    _check_content(message, number)
    if message.ids is not None:
        _check_ids(message, number)
    elif _characters(message) > MAX_MESSAGE_CHARACTERS:
        raise InvalidMessageError(f"Message {number} is too long: at most {MAX_MESSAGE_CHARACTERS:,} characters.")
    if message.role != "assistant" and not message.text.strip():
        raise InvalidMessageError(f"Message {number} is empty: write something or leave it out.")


def _check_content(message: Message, number: int) -> None:
    content: object = message.content
    parts = (Part("text", content),) if isinstance(content, str) else content
    if not isinstance(parts, tuple):
        raise InvalidMessageError(f"The content of message {number} must be text.")
    if message.role != "assistant" and not isinstance(content, str):
        raise InvalidMessageError(f"Message {number} must be plain text: only an assistant message has other parts.")
    for part in parts:
        if not isinstance(part, Part) or part.type not in ("text", "python", "python_output"):
            raise InvalidMessageError(f"Each part of message {number} must be text, python or python_output.")
        if not isinstance(part.text, str):
            raise InvalidMessageError(f"The content of message {number} must be text.")
        if _SURROGATE.search(part.text):
            raise InvalidMessageError(
                f"Message {number} holds half a character (a lone surrogate): send valid Unicode."
            )


def _check_ids(message: Message, number: int) -> None:
    ids: object = message.ids
    if message.role != "assistant":
        raise InvalidMessageError(f"Message {number} must be text: only an assistant message is kept as token ids.")
    if not isinstance(ids, tuple) or not all(type(token_id) is int and token_id >= 0 for token_id in ids):
        raise InvalidMessageError(f"The token ids of message {number} must be whole numbers from 0.")


def _check_order(messages: tuple[Message, ...]) -> None:
    expected: Role = "user"
    for number, message in enumerate(messages, start=1):
        if number == 1 and message.role == "system":
            continue
        if message.role != expected:
            raise InvalidMessageError(
                f"Message {number} must be from the {expected}: after at most one system message at the start, "
                "user and assistant take turns."
            )
        expected = "assistant" if expected == "user" else "user"


def _check_size(messages: tuple[Message, ...]) -> None:
    sent = sum(_characters(message) for message in messages if message.ids is None)
    if sent > MAX_TOTAL_CHARACTERS:
        raise InvalidMessageError(
            f"This chat is too long: at most {MAX_TOTAL_CHARACTERS:,} characters in all. Start a new one."
        )


def _characters(message: Message) -> int:
    if isinstance(message.content, str):
        return len(message.content)
    return sum(len(part.text) for part in message.content)
