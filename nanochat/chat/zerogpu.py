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

import math
import time
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing, contextmanager
from contextvars import copy_context
from dataclasses import dataclass, replace
from typing import TypeAlias

import httpx
import spaces

# The one Gradio name below the page: whoever calls it, `spaces` refuses with Gradio's Error.
from gradio.exceptions import Error as Refusal

from nanochat.chat.conversation import Conversation
from nanochat.chat.engine import Engine, EngineLimits, LocalEngine, fit
from nanochat.chat.events import Done, Event, GPUUsed, GPUWait
from nanochat.chat.refusals import explained
from nanochat.chat.sampling import SamplingSettings
from nanochat.chat.template import ChatTemplate
from nanochat.errors import GPUError, NanoChatError
from nanochat.model.modeling_nanochat import NanoChatForCausalLM

# The worker ends its answer this long before it would be killed.
MARGIN_SECONDS = 2.0
# One GPU answers one visitor at a time; more slots only keep the earlier turns of more visitors.
WARM_SLOTS = 4
# A page that is told nothing for long cannot stop the wait.
WAIT_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Speed:
    """How fast answers come on the lent GPU: a careful guess until the first one has been measured."""

    cold_start_seconds: float = 8.0
    prompt_tokens_per_second: float = 2000.0
    answer_tokens_per_second: float = 30.0

    def estimate_seconds(self, prompt_tokens: int, answer_tokens: int) -> int:
        """Return whole seconds enough for a cold start, the whole prompt, the longest answer and the margin."""
        reading = prompt_tokens / self.prompt_tokens_per_second
        writing = answer_tokens / self.answer_tokens_per_second
        return math.ceil(self.cold_start_seconds + reading + writing + MARGIN_SECONDS)

    def learned(self, done: Done, start_seconds: float) -> Speed:
        """Return the speed after one more answer: halfway to what it showed, and nothing from what was too short."""
        read_tokens = done.prompt_tokens - done.reused_tokens
        return Speed(
            # A warm worker starts in no time, but who knows that the next one is warm?
            _towards(self.cold_start_seconds, start_seconds, start_seconds > 0.5),
            _towards(self.prompt_tokens_per_second, _rate(read_tokens, done.prefill_seconds), read_tokens >= 64),
            _towards(
                self.answer_tokens_per_second,
                _rate(done.completion_tokens, done.decode_seconds),
                done.completion_tokens >= 16,
            ),
        )


class SendingTime:
    """A moment that is fixed when it is pickled: `spaces` sends the arguments once the GPU is granted, not before."""

    def __reduce__(self) -> tuple[type[float], tuple[float]]:
        return float, (time.monotonic(),)

    def __float__(self) -> float:
        return time.monotonic()


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


class ZeroGPUEngine(Engine):
    """Answers on a GPU that `spaces` lends for each answer. Where there is no ZeroGPU, it answers in this process."""

    def __init__(
        self,
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
        longest = model.config.max_position_embeddings
        self.context = min(limits.context or longest, longest)
        self.speed = Speed()
        self._most_seconds = most_seconds
        self._model = model
        self._template = template
        self._limits = replace(limits, slots=min(limits.slots, WARM_SLOTS))
        # Made in the worker, where the model is on the GPU; it stays there as long as the worker does.
        self._engine: LocalEngine | None = None
        # Decorated once: each decorated function has workers of its own.
        self._on_gpu = spaces.GPU(self._answer, duration=lambda task, _: task.seconds)

    def stream(
        self, conversation: Conversation, settings: SamplingSettings, *, session: str = ""
    ) -> Generator[Event, None, None]:
        """Answer the last message, or go on with it when it is the assistant's; see `nanochat.chat.events`.

        Raises what `LocalEngine.stream` raises, before a GPU is asked for where it can be known, and GPUError.
        """
        seconds = self.estimate_seconds(conversation, settings)
        with _explained(seconds):
            answer = self._on_gpu(_Task(conversation, settings, session, seconds), SendingTime())
            yield from self._received(_announced(answer, seconds))

    def estimate_seconds(self, conversation: Conversation, settings: SamplingSettings) -> int:
        """Return the GPU seconds that this answer will ask for. Raises ContextFullError."""
        prompt = fit(self._template, conversation, self.context, settings.max_tokens)
        answer_tokens = min(settings.max_tokens, self.context - len(prompt.ids))
        return min(self.speed.estimate_seconds(len(prompt.ids), answer_tokens), self._most_seconds)

    def _answer(self, task: _Task, sent: float | SendingTime) -> Generator[_Sent, None, None]:
        """Run in the worker: the one function that needs the GPU."""
        sent_at = float(sent)
        start_seconds = time.monotonic() - sent_at
        deadline_seconds = task.seconds - MARGIN_SECONDS - start_seconds
        try:
            if self._engine is None:
                self._engine = LocalEngine(self._model, self._template, self._limits)
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
        start_seconds = 0.0
        with closing(answer):
            for event in answer:
                if isinstance(event, _Raised):
                    # Built without __init__, which may want more than the text.
                    raise event.kind.__new__(event.kind, event.text)
                if isinstance(event, GPUUsed):
                    start_seconds = event.start_seconds
                elif isinstance(event, Done):
                    self.speed = self.speed.learned(event, start_seconds)
                yield event


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


def _rate(tokens: int, seconds: float) -> float:
    return tokens / max(seconds, 1e-3)


def _towards(value: float, seen: float, counts: bool) -> float:
    return (value + seen) / 2 if counts else value
