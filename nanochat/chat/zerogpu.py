"""The engine on a GPU that is lent for one answer: ZeroGPU, the free hardware of Hugging Face Spaces.

The main process has no GPU. A function decorated with `spaces.GPU` runs in a worker process that has one, which is
forked from main when a visitor asks, kept warm for the next if nobody else needs the GPU, and killed when it takes
longer than it said beforehand. What a visitor may use each day is little, and the announced seconds are checked
against it. So an answer goes this way:

    main    refuse what is wrong, count the prompt's tokens, estimate the seconds; ask for a GPU, say so while waiting
    worker  answer as everywhere else, but stop shortly before the announced seconds are over
    main    pass the events on, learn from their numbers, put a refusal into words that help the visitor

Keys and values of earlier turns live in the worker: a warm one need not read them again, a new one reads all.

Source: spaces 0.51.3, zero/wrappers.py and zero/client.py.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing, contextmanager
from contextvars import copy_context
from dataclasses import dataclass, replace
from typing import TypeAlias

import httpx
import spaces

# The one Gradio name below the page: whoever calls it, `spaces` refuses with Gradio's Error.
from gradio.exceptions import Error as Refusal
from spaces.config import Config

from nanochat.chat.conversation import Conversation
from nanochat.chat.engine import Engine, EngineLimits, LocalEngine, fit
from nanochat.chat.events import Done, Event, GPUUsed, GPUWait
from nanochat.chat.gpu_seconds import MARGIN_SECONDS, SendingTime, Speed
from nanochat.chat.refusals import explained
from nanochat.chat.sampling import SamplingSettings
from nanochat.chat.template import ChatTemplate
from nanochat.errors import BusyError, GPUError, GPULostError, NanoChatError
from nanochat.model.modeling_nanochat import NanoChatForCausalLM

# One GPU answers one visitor at a time; more slots only keep the earlier turns of more visitors.
WARM_SLOTS = 4
# A page that is told nothing for long cannot stop the wait.
WAIT_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class _Task:
    """What is to be answered, and the GPU seconds announced for it."""

    conversation: Conversation
    settings: SamplingSettings
    session: str
    seconds: int


@dataclass(frozen=True, slots=True)
class _Raised:
    """An error on its way to main: raised in the worker it would end the worker and arrive as a class name."""

    kind: type[NanoChatError]
    text: str


_Sent: TypeAlias = Event | _Raised
_Work: TypeAlias = Callable[[_Task, float | SendingTime], Generator[_Sent, None, None]]


class GPULender:
    """The one decorated function of the program, there before any model is.

    Each decorated function has workers of its own, so there is one for all. And ZeroGPU ends a Space that has none at
    launch, though a page that says why its model did not load is better than no page.
    """

    def __init__(self) -> None:
        # Whether there is ZeroGPU to lend from; without it `run` is called in this process like any function.
        self.lends = bool(Config.zero_gpu)
        self.work: _Work | None = None
        self.run = spaces.GPU(self._run, duration=lambda task, _: task.seconds)

    def _run(self, task: _Task, sent: float | SendingTime) -> Generator[_Sent, None, None]:
        # The worker is a copy of main, so it has the work that was set there.
        if self.work is not None:
            yield from self.work(task, sent)


class ZeroGPUEngine(Engine):
    """Answers on a GPU that is lent for each answer; without ZeroGPU in this process."""

    def __init__(
        self,
        lender: GPULender,
        model: NanoChatForCausalLM,
        template: ChatTemplate,
        limits: EngineLimits | None = None,
        *,
        most_seconds: int = 60,
    ) -> None:
        """Take a model that was moved to "cuda" in the main thread; touch none of its tensors.

        `most_seconds`: what one answer may ask for. Longer answers end there and can be continued.
        """
        limits = limits or EngineLimits()
        self._visitors = _Visitors(limits)
        longest = model.config.max_position_embeddings
        self.context = min(limits.context or longest, longest)
        self.speed = Speed()
        self._most_seconds = most_seconds
        self._model = model
        self._template = template
        self._limits = replace(limits, slots=min(limits.slots, WARM_SLOTS))
        # Made in the worker, where the model is on the GPU; it stays there as long as the worker does.
        self._engine: LocalEngine | None = None
        self._lender = lender
        lender.work = self._answer

    def stream(
        self, conversation: Conversation, settings: SamplingSettings, *, session: str = ""
    ) -> Generator[Event, None, None]:
        """Answer the last message, or go on with it when it is the assistant's; see `nanochat.chat.events`.

        Raises what `LocalEngine.stream` raises, before a GPU is asked for where that can be known, and GPUError.
        """
        seconds = self.estimate_seconds(conversation, settings)
        with self._visitors.answering(session), _explained(seconds):
            answer = self._lender.run(_Task(conversation, settings, session, seconds), SendingTime())
            yield from self._received(_announced(answer, seconds))

    def estimate_seconds(self, conversation: Conversation, settings: SamplingSettings) -> int:
        """Return the GPU seconds that this answer will ask for. Raises ContextFullError."""
        prompt = fit(self._template, conversation, self.context, settings.max_tokens)
        answer_tokens = min(settings.max_tokens, self.context - len(prompt.ids))
        return min(self.speed.estimate_seconds(len(prompt.ids), answer_tokens), self._most_seconds)

    def _answer(self, task: _Task, sent: float | SendingTime) -> Generator[_Sent, None, None]:
        """Answer in the worker, where the GPU is."""
        sent_at = float(sent)
        start_seconds = time.monotonic() - sent_at
        deadline_seconds = task.seconds - MARGIN_SECONDS - start_seconds
        try:
            if self._engine is None:
                # Nothing is recorded: each shape takes tenths of a second of what the visitor may use, and a worker may
                # not live for a second answer. torch.compile does not work there at all.
                self._engine = LocalEngine(self._model, self._template, self._limits, stepping="eager")
            events = self._engine.stream(
                task.conversation, task.settings, session=task.session, deadline_seconds=deadline_seconds
            )
            with closing(events):
                for event in events:
                    if isinstance(event, Done):
                        yield GPUUsed(task.seconds, time.monotonic() - sent_at, start_seconds)
                    yield event
        except NanoChatError as error:
            yield _Raised(type(error), str(error))

    def _received(self, answer: Generator[_Sent, None, None]) -> Generator[Event, None, None]:
        """Pass the events on; Done is the last of them, and comes when the worker is through with the answer.

        Whoever has Done reads no further, and `spaces` takes a generator left before its end for one to stop: the stop
        would reach the worker when it may answer the next visitor already, and end that answer without a word.
        """
        start_seconds = 0.0
        done: Done | None = None
        with closing(answer):
            for event in answer:
                if isinstance(event, _Raised):
                    # Built without __init__, which may want more than the text.
                    raise event.kind.__new__(event.kind, event.text)
                if isinstance(event, Done):
                    done = event
                    continue
                if isinstance(event, GPUUsed):
                    start_seconds = event.start_seconds
                yield event
        if done is None:
            raise GPULostError("The GPU stopped before the answer was complete: send the message again.")
        self.speed = self.speed.learned(done, start_seconds)
        yield done


class _Visitors:
    """Who is being answered: ZeroGPU's own queue has no end and knows no sessions, so the limits are kept here."""

    def __init__(self, limits: EngineLimits) -> None:
        self._limits = limits
        self._answers: Counter[str] = Counter()
        self._lock = threading.Lock()

    @contextmanager
    def answering(self, session: str) -> Iterator[None]:
        """Count an answer for this session within the block. Raises BusyError when there are too many."""
        with self._lock:
            self._check(session)
            self._answers[session] += 1
        try:
            yield
        finally:
            with self._lock:
                self._answers -= Counter([session])

    def _check(self, session: str) -> None:
        places, most = self._limits.slots + self._limits.queue, self._limits.requests_per_session
        if session and self._answers[session] >= most:
            raise BusyError(f"At most {most} answers of one visitor are made at once: wait for one to end or stop it.")
        if self._answers.total() >= places:
            raise BusyError(f"All {places} places are taken, waiting ones included: try again in a moment.")


def _announced(answer: Generator[_Sent, None, None], seconds: int) -> Generator[_Sent, None, None]:
    """Yield GPUWait at once and until the answer begins, then the answer.

    The queue for a GPU can take a minute, and a generator that waits in `next` cannot be closed. So the first `next` is
    on a thread of its own, with the context of this one: `spaces` finds the visitor's request in it.
    """

    def begin() -> _Sent | None:
        return next(answer, None)

    yield GPUWait(seconds, 0.0)
    asked = time.monotonic()
    executor = ThreadPoolExecutor(1)
    first = executor.submit(copy_context().run, begin)
    executor.shutdown(wait=False)
    try:
        while wait((first,), WAIT_SECONDS).not_done:
            yield GPUWait(seconds, time.monotonic() - asked)
    except GeneratorExit:
        # Nobody waits any more: the GPU is handed back the moment it comes.
        first.add_done_callback(lambda _: answer.close())
        raise
    with closing(answer):
        event = first.result()
        if event is not None:
            yield event
            yield from answer


@contextmanager
def _explained(seconds: int) -> Iterator[None]:
    try:
        yield
    except Refusal as refusal:
        raise explained(refusal.title, str(refusal.message), seconds) from refusal
    except (httpx.HTTPError, RuntimeError) as error:
        # How `spaces` says that its service does not answer, or answers what it does not know.
        raise GPUError("The GPU service of this Space does not answer: try again in a minute.") from error
