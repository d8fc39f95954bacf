"""The engine as the rest of the program sees it: a conversation goes in, events come out.

`stream` is a plain generator. An error is raised where the events are read, `close()` gives everything back at once,
nothing is computed before the first `next()` and little beyond what is read. Different `next()` calls may come from
different threads.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Generator
from typing import Protocol

from nanochat.chat.conversation import Conversation
from nanochat.chat.events import Event, Queued
from nanochat.chat.requests import Capture, Request
from nanochat.chat.sampling import SamplingSettings
from nanochat.chat.scheduler import WAIT_SECONDS, EngineLimits, Scheduler
from nanochat.chat.template import ChatTemplate, FittedPrompt
from nanochat.errors import CheckpointError, ContextFullError
from nanochat.model.cache import SlotCache, cache_type, layer_devices
from nanochat.model.decoder import SlotDecoder
from nanochat.model.fast_step import Stepping
from nanochat.model.modeling_nanochat import NanoChatForCausalLM
from nanochat.model.threads import in_step_thread

__all__ = ["Capture", "Engine", "EngineLimits", "LocalEngine"]


class Engine(Protocol):
    """Whatever answers a conversation: this machine, a GPU lent for a minute, a server elsewhere."""

    def stream(
        self, conversation: Conversation, settings: SamplingSettings, *, session: str = ""
    ) -> Generator[Event, None, None]:
        """Answer the last message, or go on with it when it is the assistant's. Raises NanoChatError."""
        ...


class LocalEngine(Engine):
    """Answers with a model in this process; many requests share it."""

    def __init__(
        self,
        model: NanoChatForCausalLM,
        template: ChatTemplate,
        limits: EngineLimits | None = None,
        *,
        stepping: Stepping = "recorded",
    ) -> None:
        """Claim the memory of all slots. Raises CheckpointError when model and tokenizer do not belong together.

        `stepping`: how ids are decoded once the prompts are read; to compile takes its time here.
        """
        self.limits = limits or EngineLimits()
        if template.vocab_size > model.config.vocab_size:
            raise CheckpointError(
                f"The tokenizer knows {template.vocab_size} tokens but the model only {model.config.vocab_size}: "
                "they do not belong together."
            )
        longest = model.config.max_position_embeddings
        self.context = min(self.limits.context or longest, longest)
        self._template = template
        self.cache = SlotCache(
            model.config,
            self.limits.slots,
            self.context,
            dtype=cache_type(model.dtype, model.device),
            device=layer_devices(model),
        )
        decoder = SlotDecoder(model, self.cache, stepping)
        if stepping == "compiled":
            in_step_thread(decoder.prepare)
        self._scheduler = Scheduler(decoder, self.limits)

    @property
    def live_requests(self) -> int:
        """Requests that run or wait now."""
        return self._scheduler.live_requests

    def stream(
        self,
        conversation: Conversation,
        settings: SamplingSettings,
        *,
        session: str = "",
        capture: Capture | None = None,
        deadline_seconds: float | None = None,
    ) -> Generator[Event, None, None]:
        """Answer the last message, or go on with it when it is the assistant's; see `nanochat.chat.events`.

        Raises ContextFullError for a last turn longer than the context, BusyError when there is no place for it, and
        ModelOutputError for a model whose numbers are not finite.
        """
        request = Request(
            self._template,
            fit(self._template, conversation, self.context, settings.max_tokens),
            settings,
            seed=secrets.randbits(32) if settings.seed is None else settings.seed,
            context=self.context,
            deadline_seconds=self.limits.deadline_seconds if deadline_seconds is None else deadline_seconds,
            session=session,
            capture=capture,
        )
        self._scheduler.enter(request)
        try:
            yield from self._events(request)
        finally:
            self._scheduler.leave(request)

    def _events(self, request: Request) -> Generator[Event, None, None]:
        yielded = time.monotonic()
        while not request.finished or request.mailbox:
            if request.mailbox:
                yield request.mailbox.popleft()
                yielded = time.monotonic()
            elif request.error is not None:
                raise request.error
            else:
                self._scheduler.advance(request)
                if not request.mailbox and time.monotonic() - yielded >= WAIT_SECONDS:
                    yield self._waiting(request)
                    yielded = time.monotonic()

    def _waiting(self, request: Request) -> Event:
        """Say something, since a generator can be closed only where it yields."""
        position = self._scheduler.position(request)
        return request.progress if position is None else Queued(position)


def fit(template: ChatTemplate, conversation: Conversation, context: int, max_tokens: int) -> FittedPrompt:
    """Forget old turns rather than leave the answer no room; a long last turn may take all but one token.

    Raises ContextFullError.
    """
    try:
        return template.fit(conversation, context - min(max_tokens, context // 4))
    except ContextFullError:
        return template.fit(conversation, context - 1)
