"""What happens while a reply is made, as values: every front draws the same events in its own way.

A stream is `Queued` while all places are taken, `Started`, `PrefillProgress` while the prompt is read, then `Token`,
`ToolCall` and `ToolResult` as the reply grows, then `Done`. `PrefillProgress` comes again, unchanged, where a later
event takes long. A failure is not an event: it is raised out of the generator as a NanoChatError. A request that is
cancelled ends without `Done`, because whoever closed the generator no longer listens.
Where a GPU is lent for the answer, `GPUWait` comes while it is not there, and `GPUUsed` just before `Done`.

All events are frozen and picklable, since on ZeroGPU they cross from one process to another.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from nanochat.chat.conversation import Message

FinishReason = Literal["stop", "length", "deadline"]


@dataclass(frozen=True, slots=True)
class Queued:
    """Every place is taken; this request is the one at `position`, from 1, to get the next free one."""

    position: int


@dataclass(frozen=True, slots=True)
class GPUWait:
    """A GPU was asked for, for so many seconds at most, and is not there yet (only where GPUs are lent)."""

    estimated_seconds: int
    waited_seconds: float


@dataclass(frozen=True, slots=True)
class GPUUsed:
    """The lent GPU is handed back: the seconds asked for, the seconds used, and how many of these it took to start."""

    estimated_seconds: int
    used_seconds: float
    start_seconds: float


@dataclass(frozen=True, slots=True)
class Started:
    """The prompt is fixed: these ids are read, of which the first `reused_tokens` were read before.

    `vocabulary` is the fingerprint of the tokenizer that all ids of the answer are of.
    """

    prompt_ids: tuple[int, ...]
    reused_tokens: int
    dropped_turns: int
    seed: int
    vocabulary: str = ""


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


Event: TypeAlias = Queued | GPUWait | Started | PrefillProgress | Token | ToolCall | ToolResult | GPUUsed | Done
