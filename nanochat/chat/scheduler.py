"""Many answers from one model: who waits, who has a slot, and what goes into the next pass.

Whoever waits for an event and finds none asks for the step: one pass through the model for all live requests, in which
some read a piece of their prompt and the others write one id each. The events go into the mailboxes of all, so most
readers find theirs filled. Requests join and leave between steps. On a processor one step follows the other while the
readers hand on what they have: to draw an update of the page takes as long as some tokens of a small model.

Two rules keep one reader from disturbing the others. Nobody works ahead of a reader by more than a full mailbox: then
its request is left out of the pass. And what goes wrong in one request's part of a step is raised in its own reader.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from types import MappingProxyType

from torch import Tensor

from nanochat.chat.requests import Request
from nanochat.errors import BusyError, SettingsError
from nanochat.model.cache import Slot
from nanochat.model.decoder import Segment, SlotDecoder
from nanochat.model.threads import step_thread

# How long a reader waits before it looks up, so that its generator can be closed.
WAIT_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class EngineLimits:
    """What the engine takes on at once.

    slots: answers made at the same time, each with memory for one context. queue: requests that may wait beyond that.
    requests_per_session: running or waiting at once for one session; callers without a session share no limit.
    deadline_seconds: from the first `next()` of a request to its last token, the wait included.
    prefill_chunk_tokens: prompt tokens read in one step, all requests together; running answers wait that long.
    events_ahead: unread events after which a request pauses. context: tokens of one slot, None for the model's limit.
    """

    slots: int = 8
    queue: int = 32
    requests_per_session: int = 2
    deadline_seconds: float = 120.0
    prefill_chunk_tokens: int = 128
    events_ahead: int = 64
    context: int | None = None

    def __post_init__(self) -> None:
        """Raises SettingsError for limits under which no request could ever be answered."""
        for field in fields(self):
            value, lowest = getattr(self, field.name), _LOWEST.get(field.name, 1)
            # Written so that NaN, which is neither below nor above anything, fails too.
            if value is not None and not value >= lowest:
                raise SettingsError(f"{field.name} must be at least {lowest}.")


_LOWEST: Mapping[str, float] = MappingProxyType({"queue": 0, "deadline_seconds": 0.01, "context": 4})


class Scheduler:
    """Slots, the queue before them, and the step that moves all requests on."""

    def __init__(self, decoder: SlotDecoder, limits: EngineLimits) -> None:
        self._decoder = decoder
        self._cache = decoder.cache
        self._limits = limits
        self._running: dict[Request, Slot] = {}
        self._waiting: deque[Request] = deque()
        self._stepping = False
        self._on_processor = all(keys_and_values.device.type == "cpu" for keys_and_values in decoder.cache.layers)
        # Guards everything above and is held for moments only: the pass itself runs outside, under `_stepping`.
        self._changed = threading.Condition()

    @property
    def live_requests(self) -> int:
        return len(self._running) + len(self._waiting)

    def enter(self, request: Request) -> None:
        """Queue a request. Raises BusyError when the queue is full or its session has enough running."""
        with self._changed:
            self._check_session(request.session)
            places = self._limits.slots + self._limits.queue
            if self.live_requests >= places:
                raise BusyError(f"All {places} places are taken, waiting ones included: try again in a moment.")
            self._waiting.append(request)

    def leave(self, request: Request) -> None:
        """Take a request out, wherever it stands; its slot is free at once. Leaving twice does no harm."""
        with self._changed:
            if request in self._running:
                self._cache.release(self._running.pop(request))
            elif request in self._waiting:
                self._waiting.remove(request)
            self._changed.notify_all()

    def position(self, request: Request) -> int | None:
        """Return the place in the queue, from 1; None for a request that has left it."""
        with self._changed:
            return self._waiting.index(request) + 1 if request in self._waiting else None

    def advance(self, request: Request) -> None:
        """Bring the request an event nearer: have a step made, or wait a moment while one is made for others."""
        with self._changed:
            if request.mailbox or request.error:
                return
            work = self._claim()
            if self._on_processor or not work:
                if work:
                    step_thread().submit(self._run_on, work)
                self._changed.wait(WAIT_SECONDS)
                return
        self._run(work)

    def _claim(self) -> list[tuple[Request, Segment]]:
        """Return the work of a step that is now the caller's to make: none while one is made, or nobody needs one."""
        if self._stepping:
            return []
        work = self._plan()
        self._stepping = bool(work)
        return work

    def _run_on(self, work: Sequence[tuple[Request, Segment]]) -> None:
        """Make a step and leave the next one, if there is work, behind the steps of other models that wait."""
        self._run(work)
        with self._changed:
            if more := self._claim():
                step_thread().submit(self._run_on, more)

    def _run(self, work: Sequence[tuple[Request, Segment]]) -> None:
        try:
            self._step(work)
        finally:
            with self._changed:
                self._stepping = False
                self._changed.notify_all()

    def _plan(self) -> list[tuple[Request, Segment]]:
        """Settle who has a slot and return what each running request reads next; none where all are paused."""
        self._expire()
        self._admit()
        work = []
        budget = self._limits.prefill_chunk_tokens
        for request, slot in self._running.items():
            reads = request.reading_tokens > 0
            if len(request.mailbox) >= self._limits.events_ahead or (reads and not budget):
                continue
            segment = request.segment(slot, budget if reads else None)
            budget -= len(segment.ids) if reads else 0
            work.append((request, segment))
        return work

    def _expire(self) -> None:
        for request in [request for request in self._running if request.expired]:
            request.finish("deadline")
            self.leave(request)
        for request in [request for request in self._waiting if request.expired]:
            request.error = BusyError("No place became free in time: try again in a moment.")
            self.leave(request)

    def _admit(self) -> None:
        while self._waiting and (slot := self._cache.take(self._waiting[0].prompt_ids)):
            request = self._waiting.popleft()
            request.admit(len(slot.ids))
            self._running[request] = slot

    def _step(self, work: Sequence[tuple[Request, Segment]]) -> None:
        """Read all segments in one pass and let each request go on from its logits."""
        try:
            outputs = self._decoder.read([segment for _, segment in work])
        except Exception as error:  # noqa: BLE001 - kept for the reader whose request it is
            if len(work) == 1:
                self._fail(*work[0], error)
                return
            # Whose ids the pass stumbled over shows when each request is read alone.
            for alone in work:
                self._step([alone])
            return
        for (request, segment), logits in zip(work, outputs, strict=True):
            self._take(request, segment, logits)

    def _take(self, request: Request, segment: Segment, logits: Tensor) -> None:
        try:
            request.take(segment, logits)
        except Exception as error:  # noqa: BLE001 - kept for the reader whose request it is
            self._fail(request, segment, error)
        if request.finished:
            self.leave(request)

    def _fail(self, request: Request, segment: Segment, error: Exception) -> None:
        """Forget what was read, since wrong numbers would spoil the next request with the same beginning."""
        self._cache.forget(segment.slot)
        request.error = error
        self.leave(request)

    def _check_session(self, session: str) -> None:
        limit = self._limits.requests_per_session
        if session and sum(request.session == session for request in (*self._running, *self._waiting)) >= limit:
            raise BusyError(f"At most {limit} answers of one visitor are made at once: wait for one to end or stop it.")
