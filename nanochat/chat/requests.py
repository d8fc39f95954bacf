"""One request on its way through the engine: what is still to be read, how the next id is chosen, when it is over.

A request never runs by itself. The scheduler asks it for a `Segment` to put into the next pass and hands it the logits
that came of it; the request turns them into events and leaves these in its mailbox, where its reader finds them.
"""

from __future__ import annotations

import time
from collections import deque
from typing import Protocol

import torch
from torch import Tensor

from nanochat.chat.answer import Answer
from nanochat.chat.events import (
    Candidate,
    Done,
    Event,
    FinishReason,
    PrefillProgress,
    Started,
    Token,
    ToolCall,
    ToolResult,
)
from nanochat.chat.sampling import Ranking, SamplingSettings, rank, sample
from nanochat.chat.template import ChatTemplate, FittedPrompt
from nanochat.chat.tools import calculate
from nanochat.model.cache import Slot
from nanochat.model.decoder import Segment

SHOWN_CANDIDATES = 5
# The calculator prints at most 200 characters; a tool that says more is not answered from.
MAX_RESULT_TOKENS = 256


class Capture(Protocol):
    """Looks over the engine's shoulder: called for each `Token`, in the same order, with what it was chosen from."""

    def token(self, token_id: int, logits: Tensor) -> None:
        """Receive the chosen id and the raw logits, float32 of shape (vocabulary,); copy them to keep them."""


class Request:
    """The state of one answer. Only the thread that holds the scheduler's step changes it, but for `mailbox`."""

    def __init__(
        self,
        template: ChatTemplate,
        prompt: FittedPrompt,
        settings: SamplingSettings,
        *,
        seed: int,
        context: int,
        deadline_seconds: float,
        session: str = "",
        capture: Capture | None = None,
    ) -> None:
        self.session = session
        self.mailbox: deque[Event] = deque()
        self.finished: FinishReason | None = None
        self.error: Exception | None = None
        self._template = template
        self._prompt = prompt
        self._settings = settings
        self._seed = seed
        self._generator = torch.Generator().manual_seed(seed)
        self._capture = capture
        self._context = context
        # A reply that is continued is one message with what was there before.
        last = prompt.conversation.messages[-1]
        self._answer = Answer(template, template.answer_ids(last) if last.role == "assistant" else ())
        self._reused_tokens = 0
        self._room = min(settings.max_tokens, context - len(prompt.ids))
        self._pending = list(prompt.ids)
        self._forced: deque[int] = deque()
        self._produced = 0
        self._entered = time.monotonic()
        self._deadline = self._entered + deadline_seconds
        self._admitted = self._first_token = self._entered

    @property
    def prompt_ids(self) -> tuple[int, ...]:
        return self._prompt.ids

    @property
    def expired(self) -> bool:
        return time.monotonic() >= self._deadline

    @property
    def progress(self) -> PrefillProgress:
        """How much of the prompt has been read."""
        total = len(self._prompt.ids)
        return PrefillProgress(total - max(0, self.reading_tokens - len(self._forced)), total)

    def admit(self, reused_tokens: int) -> None:
        """Start, with so much of the prompt read already."""
        self._reused_tokens = reused_tokens
        self._admitted = time.monotonic()
        self._pending = self._pending[self._reused_tokens :]
        prompt = self._prompt
        self.mailbox.append(
            Started(prompt.ids, reused_tokens, prompt.dropped_turns, self._seed, self._template.vocabulary)
        )
        # The last answer may have been cut between a call and its result.
        self._compute_call()

    @property
    def reading_tokens(self) -> int:
        """Ids that wait to be read, when they are the prompt; none once the answer has begun."""
        return 0 if self._produced else len(self._pending)

    def segment(self, slot: Slot, longest: int | None) -> Segment:
        """Return the next pending ids, with logits where a sampled or forced id follows."""
        ids = tuple(self._pending[:longest])
        silent = len(self._pending) - 1 - len(self._forced)
        return Segment(slot, ids, kept=max(0, len(ids) - silent))

    def take(self, segment: Segment, logits: Tensor) -> None:
        """Go on from a segment that was read: report forced ids, choose the next one. Raises ModelOutputError."""
        del self._pending[: len(segment.ids)]
        if not self._produced:
            self.mailbox.append(self.progress)
        for row in logits:
            if self._produced >= self._room:
                break
            forced = bool(self._forced)
            ranking = rank(row, self._settings, SHOWN_CANDIDATES)
            token_id = self._forced.popleft() if forced else self._choose(row, ranking)
            if not forced and token_id in (self._template.control.assistant_end, self._template.control.bos):
                self.finish("stop")
                return
            self._report(token_id, row, ranking, forced)
            if not forced:
                self._pending.append(token_id)
                self._compute_call()
        if self._produced >= self._room:
            self.finish("length")

    def finish(self, reason: FinishReason) -> None:
        """End the answer here and leave its sum in the mailbox."""
        now = time.monotonic()
        first_token = self._first_token if self._produced else now
        self.mailbox.append(
            Done(
                finish_reason=reason,
                message=self._answer.message(),
                prompt_tokens=len(self._prompt.ids),
                completion_tokens=self._produced,
                reused_tokens=self._reused_tokens,
                seed=self._seed,
                prefill_seconds=first_token - self._admitted,
                decode_seconds=now - first_token,
                time_to_first_token_seconds=first_token - self._entered,
                context_tokens=len(self._prompt.ids) + self._produced,
                context_limit=self._context,
            )
        )
        # Last, since the reader goes home when it is finished and the mailbox is empty.
        self.finished = reason

    def _choose(self, row: Tensor, ranking: Ranking) -> int:
        seen = (*self._prompt.ids, *self._answer.ids) if self._settings.repetition_penalty != 1 else ()
        return sample(row, self._settings, self._generator, seen, ranking)

    def _report(self, token_id: int, row: Tensor, ranking: Ranking, forced: bool) -> None:
        if not self._produced:
            self._first_token = time.monotonic()
        self._produced += 1
        if self._capture is not None:
            self._capture.token(token_id, row)
        logprobs, shown = row.log_softmax(dim=0), ranking.ids[:SHOWN_CANDIDATES]
        top = tuple(
            Candidate(place, self._template.token_name(place), value)
            for place, value in zip(shown.tolist(), logprobs[shown].tolist(), strict=True)
        )
        logprob = float(logprobs[token_id])
        self.mailbox.append(Token(token_id, self._answer.push(token_id), logprob, top, forced))

    def _compute_call(self) -> None:
        """Answer a call the last id closed: the result's ids are read like a prompt, and reported as forced."""
        expression = self._answer.call
        if expression is None or self._produced >= self._room:
            return
        output = calculate(expression)
        ids = [] if output is None else self._result_ids(output)
        if len(ids) > MAX_RESULT_TOKENS:
            output, ids = None, []
        # A result without room would be cut, and half a number is a wrong number: the answer ends at the call.
        if len(ids) > self._room - self._produced:
            self._room = self._produced
            return
        self.mailbox.append(ToolCall(expression))
        self.mailbox.append(ToolResult(expression, output))
        self._forced.extend(ids)
        self._pending.extend(ids)

    def _result_ids(self, output: str) -> list[int]:
        control = self._template.control
        return [control.output_start, *self._template.encode(output), control.output_end]
