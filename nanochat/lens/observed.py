"""An engine that remembers, for each visitor, how the latest answer came about.

The answer itself passes through untouched, event by event. What is remembered is what its reader may want to look at:
the ids of the prompt, the tokens with their probabilities, and the logits they were chosen from.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass, replace

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
    """One answer as far as it has come. `settings` hold the seed it was drawn with; `trace` grows with the answer."""

    conversation: Conversation
    settings: SamplingSettings
    trace: Trace
    prompt_ids: tuple[int, ...] = ()
    tokens: tuple[Token, ...] = ()
    finished: bool = False

    @property
    def ids(self) -> tuple[int, ...]:
        """Prompt and answer, as the model read them."""
        return (*self.prompt_ids, *(token.id for token in self.tokens))


class ObservedEngine(Engine):
    """Answers with another engine, and can be asked about the latest answer of each session.

    `lens` looks into the model that answers.
    """

    def __init__(
        self, engine: LocalEngine, model: NanoChatForCausalLM, shelf: Shelf[Observation] | None = None
    ) -> None:
        self.engine = engine
        self.lens = Lens(model)
        self._shelf = shelf or Shelf()

    def stream(
        self, conversation: Conversation, settings: SamplingSettings, *, session: str = ""
    ) -> Generator[Event, None, None]:
        """Answer as the engine does; a caller without a session is not observed."""
        if not session:
            yield from self.engine.stream(conversation, settings)
            return
        trace = Trace()
        seen = Observation(conversation, settings, trace)
        # The generator runs only while its reader asks, so what is kept is always what the reader has.
        with closing(self.engine.stream(conversation, settings, session=session, capture=trace)) as events:
            for event in events:
                seen = _after(seen, event)
                if seen.prompt_ids:
                    self._shelf.put(session, seen, seen.trace.size_bytes)
                yield event

    def latest(self, session: str) -> Observation | None:
        """Return the latest answer of a session as far as it has come; None if there is none or it was forgotten."""
        return self._shelf.get(session)


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
