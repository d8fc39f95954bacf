"""What happens while a reply is made, as values: every front draws the same events in its own way.

A stream is `Started`, then `PrefillProgress` while the prompt is read, then `Token`, `ToolCall` and `ToolResult` as
the reply grows, then `Done`. A failure is not an event: it is raised out of the generator as a NanoChatError. A request
that is cancelled ends without `Done`, because whoever closed the generator no longer listens.

All events are frozen and picklable, since on ZeroGPU they cross from one process to another.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from nanochat.chat.conversation import Message

FinishReason = Literal["stop", "length", "deadline"]


@dataclass(frozen=True, slots=True)
class Started:
    """The prompt is fixed: these ids are read, of which the first `reused_tokens` were read before."""

    prompt_ids: tuple[int, ...]
    reused_tokens: int
    dropped_turns: int
    seed: int


@dataclass(frozen=True, slots=True)
class PrefillProgress:
    """So much of the prompt has been read."""

    done_tokens: int
    total_tokens: int


@dataclass(frozen=True, slots=True)
class Candidate:
    """One id the model could have chosen, with the logarithm of the probability it gave to it."""

    id: int
    text: str
    logprob: float


@dataclass(frozen=True, slots=True)
class Token:
    """One id of the reply.

    `text` holds the whole characters this id completed: empty for control tokens, for ids of a tool call and for an id
    that ends within a character. `logprob` and `top` are the model's own, before temperature and cuts; `top` is best
    first. A `forced` id was not chosen: it belongs to the result of a tool.
    """

    id: int
    text: str
    logprob: float
    top: tuple[Candidate, ...]
    forced: bool


@dataclass(frozen=True, slots=True)
class ToolCall:
    """The model closed a request to the calculator."""

    expression: str


@dataclass(frozen=True, slots=True)
class ToolResult:
    """The calculator's answer, or None for something it does not compute."""

    expression: str
    output: str | None


@dataclass(frozen=True, slots=True)
class Done:
    """The reply is complete: the message to remember, and the numbers of how it came about.

    `seed` and the settings replay it exactly; `context_tokens` is the length of prompt and reply together.
    """

    finish_reason: FinishReason
    message: Message
    prompt_tokens: int
    completion_tokens: int
    reused_tokens: int
    seed: int
    prefill_seconds: float
    decode_seconds: float
    time_to_first_token_seconds: float
    context_tokens: int
    context_limit: int


Event: TypeAlias = Started | PrefillProgress | Token | ToolCall | ToolResult | Done
