"""What the engine is asked for on the page: an answer, the rest of one, an answer to a changed question.

Each function takes what the browser sends with a click and yields what it shows: bubbles, and the conversation to
remember.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import closing
from typing import Any, TypeAlias

import gradio as gr

from nanochat.chat.conversation import Conversation
from nanochat.chat.sampling import SamplingSettings
from nanochat.errors import InvalidMessageError
from nanochat.ui.bubbles import Bubble, drawn, waiting
from nanochat.ui.commands import parse
from nanochat.ui.guards import session_of, told_to_the_page
from nanochat.ui.loading import Loading
from nanochat.ui.memory import asked
from nanochat.ui.models import Models
from nanochat.ui.numbers import FELT_SECONDS
from nanochat.ui.pace import paced
from nanochat.ui.reply import Origin, Reply, is_first_token, replies
from nanochat.ui.served import ServedModel
from nanochat.ui.settling import stoppable
from nanochat.ui.shaping import after_edit, edited, prefilled, unfinished, up_to_the_question

Update: TypeAlias = tuple[list[Bubble], Conversation]


class Answering:
    """The functions behind the chat's events, over one loader."""

    def __init__(self, loader: Models[ServedModel]) -> None:
        self._loader = loader

    def reply(
        self,
        message: str,
        history: list[Bubble],
        system_prompt: str,
        temperature: float,
        top_k: int,
        top_p: float,
        repetition_penalty: float,
        max_tokens: int,
        seed: int | None,
        remembered: Conversation,
        request: gr.Request,
        prefill: str = "",
    ) -> Generator[Update, None, None]:
        """Answer a question on the page: bubbles to show, and the conversation to remember."""
        with told_to_the_page():
            settings = SamplingSettings(temperature, top_k, top_p, repetition_penalty, max_tokens, seed)
            checked(message)
            model = self._loader.chosen(session_of(request))
            conversation = asked(remembered, history, message, system_prompt)
            for words in self._loading(model):
                yield waiting(words), remembered
            if prefill:
                conversation = prefilled(conversation, prefill, self._loader.loaded(name=model).template)
            for reply, memory in self.answers(model, conversation, settings, remembered, request, origin="user"):
                yield drawn(reply), memory

    def go_on(
        self,
        history: list[Bubble],
        system_prompt: str,
        temperature: float,
        top_k: int,
        top_p: float,
        repetition_penalty: float,
        max_tokens: int,
        seed: int | None,
        remembered: Conversation,
        request: gr.Request,
    ) -> Generator[Update, None, None]:
        """Go on with the last answer where it ends."""
        with told_to_the_page():
            settings = SamplingSettings(temperature, top_k, top_p, repetition_penalty, max_tokens, seed)
            model = self._loader.chosen(session_of(request))
            for _ in self._loading(model):
                yield history, remembered
            conversation = unfinished(remembered, history, system_prompt, self._loader.loaded(name=model).template)
            kept = up_to_the_question(history)
            for reply, memory in self.answers(model, conversation, settings, remembered, request):
                # Until more of it comes, the answer stays as it is.
                yield [*kept, *drawn(reply)] if reply.begun else history, memory

    def edit(self, history: list[Bubble], remembered: Conversation, edit: gr.EditData) -> tuple[Any, ...]:
        """Take changed words: those of the model are kept as they are now, those of the user are asked anew.

        Gradio tells of each bubble of an answer on its own, of those that were not changed too.
        """
        with told_to_the_page():
            nothing = gr.skip(), gr.skip(), None, gr.skip()
            index = edit.index
            if not isinstance(index, int) or not 0 <= index < len(history):
                raise InvalidMessageError("This message is not in the chat any more.")
            if history[index].get("role") == "user":
                text = str(edit.value)
                checked(text)
                return history[:index], gr.skip(), text, stoppable()
            if edit.value == edit.previous_value:
                return nothing
            marked = edited(history, index)
            return marked, after_edit(remembered, marked), None, gr.skip()

    def ask_anew(self, question: str | None, history: list[Bubble], *inputs: Any) -> Generator[Any, None, None]:
        """Answer a changed question; none is there when it was an answer that was changed."""
        if question is None:
            yield gr.skip(), gr.skip()
            return
        asked_again = {"role": "user", "content": [{"type": "text", "text": question}]}
        yield [*history, asked_again], gr.skip()
        for bubbles, memory in self.reply(question, history, *inputs):
            yield [*history, asked_again, *bubbles], memory

    def answers(
        self,
        model: str,
        conversation: Conversation,
        settings: SamplingSettings,
        remembered: Conversation,
        request: gr.Request,
        origin: Origin = "model",
    ) -> Generator[tuple[Reply, Conversation], None, None]:
        """Let the engine answer, or go on with the answer that the conversation ends in."""
        last = conversation.messages[-1]
        begun = last if last.role == "assistant" else None
        turns = conversation.messages[:-1] if begun else conversation.messages
        engine = self._loader.loaded(name=model).engine
        events = engine.stream(conversation, settings, session=session_of(request))
        with closing(paced(replies(events, begun=begun, origin=origin), urgent=is_first_token)) as states:
            for reply in states:
                memory = Conversation((*turns, reply.message)) if reply.begun else remembered
                yield reply, memory

    def _loading(self, model: str) -> Generator[str, None, None]:
        """Yield words about a model that is on its way until it is there or cannot be had: none while it is short.

        A generator can be stopped only where it yields, so not even the short wait is silent.
        """
        begun = time.monotonic()
        while not self._loader.wait(0.1, name=model):
            now = self._loader.status(name=model)
            is_felt = time.monotonic() - begun > FELT_SECONDS
            yield f"{now.step} ({now.share:.0%})" if is_felt and isinstance(now, Loading) else ""


def checked(message: str) -> None:
    """Raises InvalidMessageError for a text that cannot be asked, a command among them."""
    if isinstance(message, str) and parse(message) is not None:
        raise InvalidMessageError("This is a command: type it in the message box.")
    try:
        Conversation.from_messages([{"role": "user", "content": message}])
    except InvalidMessageError as error:
        raise InvalidMessageError(str(error).replace("Message 1", "Your message")) from None
