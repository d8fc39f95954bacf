"""One reply as its reader sees it, folded from the engine's events.

The engine says what happened; the page needs what there is by now: the text so far, the calculator's work, the numbers.
A reply that is stopped halfway has no `Done`, so everything shown is kept here from the first token on. A reply that
goes on from an unfinished one, or from words of the user, is one message with what was there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Literal

from nanochat.chat.conversation import Message, Part
from nanochat.chat.events import (
    Done,
    Event,
    GPUUsed,
    GPUWait,
    PrefillProgress,
    Queued,
    Started,
    Token,
    ToolCall,
    ToolResult,
)

Origin = Literal["model", "user"]


@dataclass(frozen=True, slots=True)
class Reply:
    """What has come of one reply. The three moments are seconds of one clock; `waiting` is why nothing is said yet.

    `parts` and `ids` begin with what was `given` when the reply was asked for: so many ids, `origin` says whose.
    """

    asked_at: float
    first_token_at: float | None = None
    latest_at: float | None = None
    parts: tuple[Part, ...] = ()
    ids: tuple[int, ...] = ()
    waiting: Queued | GPUWait | PrefillProgress | None = None
    started: Started | None = None
    gpu_used: GPUUsed | None = None
    done: Done | None = None
    given: int = 0
    origin: Origin = "model"

    @property
    def begun(self) -> bool:
        return len(self.ids) > self.given or self.done is not None

    @property
    def message(self) -> Message:
        """What is to be remembered if nothing more comes."""
        vocabulary = self.started.vocabulary if self.started else ""
        return self.done.message if self.done else Message("assistant", content_of(self.parts), self.ids, vocabulary)


def content_of(parts: tuple[Part, ...]) -> str | tuple[Part, ...]:
    """Return parts as a message holds them: plain text when the calculator had no part in it."""
    if all(part.type == "text" for part in parts):
        return "".join(part.text for part in parts)
    return parts


def parts_of(message: Message) -> tuple[Part, ...]:
    """Return the parts of any message, its text being one."""
    return message.content if isinstance(message.content, tuple) else (Part("text", message.content),)


def after(reply: Reply, event: Event, now: float) -> Reply:
    """Return the reply after one more event, which came at `now`; an event of an unknown kind changes nothing else."""
    reply = replace(reply, latest_at=now)
    match event:
        case Queued() | GPUWait() | PrefillProgress():
            return replace(reply, waiting=event)
        case Started():
            return replace(reply, started=event)
        case Token():
            first_token_at = now if reply.first_token_at is None else reply.first_token_at
            reply = replace(reply, ids=(*reply.ids, event.id), first_token_at=first_token_at)
            return replace(reply, parts=_with_text(reply.parts, event.text), waiting=None)
        case ToolCall():
            return replace(reply, parts=(*reply.parts, Part("python", event.expression)))
        case ToolResult(output=str(output)):
            return replace(reply, parts=(*reply.parts, Part("python_output", output)))
        case GPUUsed():
            return replace(reply, gpu_used=event)
        case Done():
            return replace(reply, done=event, parts=parts_of(event.message), waiting=None)
    return reply


def replies(
    events: Generator[Event, None, None],
    clock: Callable[[], float] = time.monotonic,
    *,
    begun: Message | None = None,
    origin: Origin = "model",
) -> Generator[Reply, None, None]:
    """Yield the reply as it stands after each event. Closing this generator closes the events'.

    `begun` is what the answer begins with and the events go on from, its ids included; `origin` is whose words these
    are.
    """
    reply = Reply(asked_at=clock())
    if begun is not None:
        ids = begun.ids or ()
        reply = replace(reply, parts=parts_of(begun), ids=ids, given=len(ids), origin=origin)
    with closing(events):
        for event in events:
            reply = after(reply, event, clock())
            yield reply


def is_first_token(reply: Reply) -> bool:
    """Whether this is the state that a reader waits for most."""
    return len(reply.ids) == reply.given + 1 and reply.done is None


def _with_text(parts: tuple[Part, ...], text: str) -> tuple[Part, ...]:
    if not text:
        return parts
    if parts and parts[-1].type == "text":
        return (*parts[:-1], Part("text", parts[-1].text + text))
    return (*parts, Part("text", text))
