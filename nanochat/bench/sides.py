"""The two sides of every comparison: our engine, and transformers' `generate` with its streamer.

Both are used as their documentation says, greedily, and are timed from the call to the moment a reader has the token in
hand. Both must deliver the number of tokens that was asked for, or the comparison is void.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from threading import Event
from typing import Any, Protocol

import torch
from transformers import GenerationConfig, PreTrainedTokenizerFast, StoppingCriteriaList, TextIteratorStreamer

from nanochat.bench.subjects import Subject, rival_model, type_name
from nanochat.chat.conversation import Conversation
from nanochat.chat.engine import Engine, EngineLimits, LocalEngine
from nanochat.chat.events import Token
from nanochat.chat.sampling import SamplingSettings
from nanochat.chat.template import ChatTemplate
from nanochat.errors import BenchError
from nanochat.model.fast_step import Stepping
from nanochat.model.threads import step_thread

# Longer than any measurement: a deadline would end an answer early.
LONGEST_SECONDS = 3_600.0
MOST_REQUESTS = 16


@dataclass(frozen=True, slots=True)
class Timed:
    """One answer: seconds from the question to the first token and to the last, and how many there were."""

    first_token_seconds: float
    seconds: float
    tokens: int

    @property
    def tokens_per_second(self) -> float:
        """The speed of writing: of all tokens but the first, which waits for the prompt to be read."""
        return (self.tokens - 1) / (self.seconds - self.first_token_seconds)


@dataclass(frozen=True, slots=True)
class Cancel:
    """Two words between whoever reads an answer and whoever wants it to end: it has begun; end it."""

    begun: Event = field(default_factory=Event)
    wanted: Event = field(default_factory=Event)


class Side(Protocol):
    """Whoever answers."""

    def answer(self, question: Conversation, tokens: int, cancel: Cancel | None = None) -> Timed:
        """Answer greedily with so many tokens, fewer only if cancelled. Raises BenchError for any other number."""
        ...


class OurSide:
    """An engine; its session name lets an observed engine observe."""

    def __init__(self, engine: Engine, session: str = "") -> None:
        self._engine = engine
        self._session = session

    def answer(self, question: Conversation, tokens: int, cancel: Cancel | None = None) -> Timed:
        settings = SamplingSettings(temperature=0, max_tokens=tokens, seed=0)
        moments = [time.perf_counter()]
        events = self._engine.stream(question, settings, session=self._session)
        for event in events:
            if isinstance(event, Token):
                moments.append(time.perf_counter())
                if cancel is not None and _ends(cancel):
                    events.close()
        return _timed(moments, tokens, cancel)


class TransformersSide:
    """`generate` in a thread beside its reader's, read through a TextIteratorStreamer."""

    def __init__(self, model: Any, tokenizer: PreTrainedTokenizerFast, template: ChatTemplate, name: str) -> None:
        self.name = name
        self._model = model
        self._tokenizer = tokenizer
        self._template = template

    def answer(self, question: Conversation, tokens: int, cancel: Cancel | None = None) -> Timed:
        ids = torch.tensor([self._template.prompt(question)], device=self._model.device)
        streamer = TextIteratorStreamer(self._tokenizer, skip_prompt=True, timeout=LONGEST_SECONDS)
        options = GenerationConfig(max_new_tokens=tokens, do_sample=False, eos_token_id=None, pad_token_id=0)
        criteria = StoppingCriteriaList([] if cancel is None else [_stop_when(cancel)])
        moments = [time.perf_counter()]
        # In the thread that makes our steps: helpers of two threads would slow each other down.
        making = step_thread().submit(
            self._model.generate,
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            generation_config=options,
            stopping_criteria=criteria,
            streamer=streamer,
        )
        # Whoever reads a streamer whose writer has failed waits for ever.
        making.add_done_callback(lambda made: streamer.end() if made.exception() else None)
        for _ in streamer:
            moments.append(time.perf_counter())
            if cancel is not None:
                cancel.begun.set()
        making.result()
        # The streamer says something for each token, and once more at the end.
        return _timed(moments[:-1], tokens, cancel)


def local_engine(subject: Subject, slots: int, stepping: Stepping = "recorded") -> LocalEngine:
    """Return an engine that lets no answer run into a deadline."""
    limits = EngineLimits(slots=slots, deadline_seconds=LONGEST_SECONDS)
    return LocalEngine(subject.model, subject.template, limits, stepping=stepping)


def rival_side(subject: Subject, dtype: torch.dtype) -> TransformersSide:
    """Return the rival over the same weights, in a type of numbers that becomes part of its name."""
    model = rival_model(subject, dtype)
    return TransformersSide(model, subject.tokenizer, subject.template, f"transformers {type_name(dtype)}")


def _ends(cancel: Cancel) -> bool:
    cancel.begun.set()
    return cancel.wanted.is_set()


def _stop_when(cancel: Cancel) -> Callable[..., torch.Tensor]:
    def criterion(input_ids: torch.Tensor, _scores: object, **_: object) -> torch.Tensor:
        return torch.full((len(input_ids),), cancel.wanted.is_set(), device=input_ids.device)

    return criterion


def _timed(moments: Sequence[float], tokens: int, cancel: Cancel | None) -> Timed:
    started, *arrived = moments
    stopped = cancel is not None and cancel.wanted.is_set()
    if not arrived or (len(arrived) != tokens and not stopped):
        raise BenchError(f"An answer of {tokens} tokens was asked for and {len(arrived)} came: nothing to compare.")
    return Timed(arrived[0] - started, arrived[-1] - started, len(arrived))
