"""Short ways to write the events of a reply, and an engine that plays them by the real protocol."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterable

from nanochat.chat.conversation import Conversation, Message, Part
from nanochat.chat.events import Done, Event, PrefillProgress, Started, Token, ToolCall, ToolResult
from nanochat.chat.sampling import SamplingSettings

CALCULATION = (
    Part("text", "Let me see. "),
    Part("python", "6*7"),
    Part("python_output", "42"),
    Part("text", " It is 42."),
)


def token(text: str, token_id: int = 7, *, forced: bool = False) -> Token:
    return Token(token_id, text, -0.5, (), forced)


def started(**changes: int) -> Started:
    return Started((0, 1, 2), changes.get("reused_tokens", 1), changes.get("dropped_turns", 0), changes.get("seed", 42))


def done(message: Message, **changes: object) -> Done:
    fields: dict[str, object] = {
        "finish_reason": "stop",
        "message": message,
        "prompt_tokens": 3,
        "completion_tokens": len(message.ids or ()),
        "reused_tokens": 1,
        "seed": 42,
        "prefill_seconds": 0.25,
        "decode_seconds": 2.0,
        "time_to_first_token_seconds": 0.5,
        "context_tokens": 12,
        "context_limit": 256,
    }
    return Done(**(fields | changes))  # type: ignore[arg-type]


def plain_reply(text: str) -> list[Event]:
    """The events of an answer of words, one id for each."""
    words = text.split(" ")
    pieces = [words[0], *(f" {word}" for word in words[1:])]
    tokens = [token(piece, number) for number, piece in enumerate(pieces)]
    message = Message("assistant", text, tuple(item.id for item in tokens))
    return [started(), PrefillProgress(3, 3), *tokens, done(message)]


def calculating_reply() -> list[Event]:
    """The events of an answer with a calculation in it."""
    events: list[Event] = [started(), PrefillProgress(3, 3), token("Let me see. ", 10)]
    events += [token("", 11), token("", 12), token("", 13), ToolCall("6*7"), ToolResult("6*7", "42")]
    events += [token("", 14, forced=True), token("", 15, forced=True), token("", 16, forced=True)]
    events += [token(" It is", 17), token(" 42.", 18)]
    return [*events, done(Message("assistant", CALCULATION, tuple(range(10, 19))))]


class ScriptedEngine:
    """Plays the given replies, one for each request; remembers what it was asked, and when it was closed."""

    def __init__(self, *replies: Iterable[Event | Exception]) -> None:
        self.replies = list(replies)
        self.asked: list[tuple[Conversation, SamplingSettings, str]] = []
        self.closed = threading.Event()

    def stream(
        self, conversation: Conversation, settings: SamplingSettings, *, session: str = ""
    ) -> Generator[Event, None, None]:
        self.asked.append((conversation, settings, session))
        reply = self.replies[min(len(self.asked), len(self.replies)) - 1]
        try:
            for event in reply:
                if isinstance(event, Exception):
                    raise event
                yield event
        finally:
            self.closed.set()
