"""An engine that remembers, for each visitor, how the latest answer came about.

The answer itself passes through untouched, event by event. What is remembered is what its reader may want to look at:
the ids of the prompt, the tokens with their probabilities, and the logits they were chosen from. The logits are by far
the largest part: they live on one shelf of bounded size, whoever else still holds the observation.
"""

from __future__ import annotations

import secrets
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import count
from typing import TypeAlias
from weakref import ReferenceType, ref

from torch import Tensor

from nanochat.chat.answer import Answer
from nanochat.chat.conversation import Conversation
from nanochat.chat.engine import Engine, LocalEngine
from nanochat.chat.events import Done, Event, Started, Token
from nanochat.chat.sampling import SamplingSettings
from nanochat.chat.template import ChatTemplate
from nanochat.lens.capture import Shelf, Trace
from nanochat.lens.look import Lens
from nanochat.model.modeling_nanochat import NanoChatForCausalLM


@dataclass(frozen=True, slots=True, eq=False)
class Observation:
    """One answer as far as it has come.

    `settings` hold the seed it was drawn with. `ended` says that no more comes, `finished` that the model itself or a
    limit ended it and not its reader. `engine` is the mark of who gave it, its `number` grows from answer to answer.
    """

    conversation: Conversation
    settings: SamplingSettings
    prompt_ids: tuple[int, ...] = ()
    tokens: tuple[Token, ...] = ()
    finished: bool = False
    ended: bool = False
    trace: ReferenceType[Trace] | None = None
    engine: str = ""
    number: int = 0

    @property
    def name(self) -> str:
        """What tells this answer from every other one."""
        return f"{self.engine}-{self.number}"

    @property
    def ids(self) -> tuple[int, ...]:
        """Prompt and answer, as the model read them."""
        return (*self.prompt_ids, *(token.id for token in self.tokens))

    def logits(self, place: int) -> Tensor | None:
        """Return what the token at `place` of the answer was chosen from; None if it is no longer kept."""
        trace = None if self.trace is None else self.trace()
        return None if trace is None else trace.logits(place)


_Kept: TypeAlias = tuple[Observation, Trace]


class ObservedEngine(Engine):
    """Answers with another engine, and can be asked about the latest answer of each session.

    `lens` looks into the model that answers; `mark` is on each observation of an answer of this engine.
    """

    def __init__(self, engine: LocalEngine, model: NanoChatForCausalLM, shelf: Shelf[_Kept] | None = None) -> None:
        self.engine = engine
        self.lens = Lens(model)
        self.mark = secrets.token_hex(4)
        self._numbers = count()
        self._shelf = shelf or Shelf()

    def stream(
        self, conversation: Conversation, settings: SamplingSettings, *, session: str = ""
    ) -> Generator[Event, None, None]:
        """Answer as the engine does; a caller without a session is not observed."""
        if not session:
            yield from self.engine.stream(conversation, settings)
            return
        trace = Trace()
        seen = Observation(conversation, settings, trace=ref(trace), engine=self.mark, number=next(self._numbers))
        # The generator runs only while its reader asks, so what is kept is always what the reader has.
        try:
            with closing(self.engine.stream(conversation, settings, session=session, capture=trace)) as events:
                for event in events:
                    seen = _after(seen, event)
                    self._keep(session, seen, trace)
                    yield event
        finally:
            self._keep(session, replace(seen, ended=True), trace)

    def latest(self, session: str) -> Observation | None:
        """Return the latest answer of a session as far as it has come; None if there is none or it was forgotten."""
        kept = self._shelf.get(session)
        return None if kept is None else kept[0]

    def _keep(self, session: str, seen: Observation, trace: Trace) -> None:
        latest = self.latest(session)
        # An answer that was stopped may end after the next one has begun.
        if seen.prompt_ids and (latest is None or latest.number <= seen.number):
            self._shelf.put(session, (seen, trace), trace.size_bytes)


def answered(seen: Observation, template: ChatTemplate) -> tuple[Conversation, int]:
    """Return the chat with the observed answer, and how many of that answer's ids had been there before."""
    messages = seen.conversation.messages
    begun = template.answer_ids(messages[-1]) if messages[-1].role == "assistant" else []
    answer = Answer(template, [*begun, *(token.id for token in seen.tokens)]).message()
    asked = messages[:-1] if messages[-1].role == "assistant" else messages
    return Conversation((*asked, answer)), len(begun)


def _after(seen: Observation, event: Event) -> Observation:
    match event:
        case Started():
            return replace(seen, prompt_ids=event.prompt_ids, settings=replace(seen.settings, seed=event.seed))
        case Token():
            return replace(seen, tokens=(*seen.tokens, event))
        case Done():
            return replace(seen, finished=True)
    return seen
