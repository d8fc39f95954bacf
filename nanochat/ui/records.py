"""An answer as one JSON object, in the words that OpenAI's API uses for the same things."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import closing
from typing import Any

from nanochat.chat.conversation import Message
from nanochat.chat.events import Done, Event, Started, Token

UPDATE_SECONDS = 0.1


def generation(
    events: Generator[Event, None, None], clock: Callable[[], float] = time.monotonic
) -> Generator[dict[str, Any], None, None]:
    """Yield the text so far from time to time, then the whole object.

    The updates are there so that a caller who leaves is noticed: a generator can be closed only where it yields.
    """
    tokens: list[Token] = []
    dropped_turns = 0
    said = clock()
    with closing(events):
        for event in events:
            if isinstance(event, Started):
                dropped_turns = event.dropped_turns
            elif isinstance(event, Token):
                tokens.append(event)
            elif isinstance(event, Done):
                yield _result(event, tokens, dropped_turns)
                return
            if clock() - said >= UPDATE_SECONDS:
                yield {"text": "".join(token.text for token in tokens), "finish_reason": None}
                said = clock()


def message_record(message: Message) -> dict[str, Any]:
    """Return a message as an object that the API takes back: calculator parts as parts."""
    if isinstance(message.content, str):
        return {"role": message.role, "content": message.content}
    return {"role": message.role, "content": [{"type": part.type, "text": part.text} for part in message.content]}


def _result(done: Done, tokens: list[Token], dropped_turns: int) -> dict[str, Any]:
    return {
        "text": "".join(token.text for token in tokens),
        "message": message_record(done.message),
        "ids": [token.id for token in tokens],
        "tokens": [_token_record(token) for token in tokens],
        # To OpenAI's clients an answer out of time is one that was cut.
        "finish_reason": "stop" if done.finish_reason == "stop" else "length",
        "usage": {
            "prompt_tokens": done.prompt_tokens,
            "completion_tokens": done.completion_tokens,
            "total_tokens": done.prompt_tokens + done.completion_tokens,
            "prompt_tokens_details": {"cached_tokens": done.reused_tokens},
        },
        "seed": done.seed,
        "dropped_turns": dropped_turns,
    }


def _token_record(token: Token) -> dict[str, Any]:
    return {
        "id": token.id,
        "text": token.text,
        "logprob": token.logprob,
        "forced": token.forced,
        "top": [{"id": best.id, "text": best.text, "logprob": best.logprob} for best in token.top],
    }
