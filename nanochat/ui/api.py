"""The endpoints for programs: `/chat` remembers; `/generate`, `/tokenize`, `/inspect` and `/model_card` do not.

They say what the page says in the form programs want: `/chat` streams the words of the answer so far, always as one
string, whatever the page draws around them. Every setting may be left out. A call that is refused ends in an error
whose text names what is allowed.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator, Mapping
from typing import Any, TypeAlias

import gradio as gr
from gradio.components.api_component import Api

from nanochat.chat.conversation import MAX_TOTAL_CHARACTERS, Conversation
from nanochat.chat.sampling import SamplingSettings
from nanochat.errors import InvalidMessageError
from nanochat.ui.controls import ABOUT, DEFAULTS
from nanochat.ui.guards import session_of, told_to_the_caller
from nanochat.ui.inspector_records import inspection
from nanochat.ui.inspector_views import observed
from nanochat.ui.memory import NOTHING, with_system
from nanochat.ui.model_card import card
from nanochat.ui.models import Models
from nanochat.ui.pace import paced
from nanochat.ui.records import generation
from nanochat.ui.reply import is_first_token, replies
from nanochat.ui.served import ServedModel

JSON: TypeAlias = dict[str, Any]

_OBJECT: JSON = {"type": "object", "additionalProperties": {}}
_SCHEMAS: Mapping[str, JSON] = {
    "message": {"type": "string", "additional_description": "What you say next."},
    "messages": {
        "type": "array",
        "items": _OBJECT,
        "additional_description": 'Objects with "role" (system, user or assistant) and "content" (a text).',
    },
    "text": {"type": "string", "additional_description": "A text, or messages as /generate takes them."},
    "position": {
        "oneOf": [{"type": "null"}, {"type": "integer"}],
        "additional_description": "The token to look at, from the first one of the prompt; left out, the last one.",
    },
    "layer": {"type": "integer", "additional_description": "From 1: the layer whose attention is worked through."},
    "head": {"type": "integer", "additional_description": "From 0: its head."},
    "system_prompt": {"type": "string"},
    "temperature": {"type": "number"},
    "top_k": {"type": "integer"},
    "top_p": {"type": "number"},
    "repetition_penalty": {"type": "number"},
    "max_tokens": {"type": "integer"},
    "seed": {"oneOf": [{"type": "null"}, {"type": "integer"}]},
    "model": {"type": "string", "additional_description": "Its name where the page offers several; else the first."},
}


class Endpoints:
    """The functions behind the endpoints; their docstrings are shown on the page that documents the API."""

    def __init__(self, loader: Models[ServedModel]) -> None:
        self._loader = loader

    def chat(
        self,
        message: str,
        system_prompt: str = "",
        temperature: float = DEFAULTS.temperature,
        top_k: int = DEFAULTS.top_k,
        top_p: float = DEFAULTS.top_p,
        repetition_penalty: float = DEFAULTS.repetition_penalty,
        max_tokens: int = DEFAULTS.max_tokens,
        seed: int | None = None,
        model: str = "",
        remembered: Conversation = NOTHING,
        request: gr.Request | None = None,
    ) -> Generator[tuple[str, Conversation], None, None]:
        """Say something and receive the answer as it grows: each update is the whole text so far. The conversation is
        remembered within one client session. The system prompt holds for this call.
        """
        with told_to_the_caller():
            settings = SamplingSettings(temperature, top_k, top_p, repetition_penalty, max_tokens, seed)
            turns = [turn for turn in remembered.messages if turn.role != "system"]
            asked = Conversation.from_messages([*turns, {"role": "user", "content": message}])
            session = session_of(request)
            engine = self._loader.loaded(session, model).engine
            conversation = with_system(asked, system_prompt)
            states = replies(engine.stream(conversation, settings, session=session))
            for reply in paced(states, urgent=is_first_token):
                yield reply.message.text, conversation.append(reply.message) if reply.begun else remembered

    def generate(
        self,
        messages: list[JSON],
        system_prompt: str = "",
        temperature: float = DEFAULTS.temperature,
        top_k: int = DEFAULTS.top_k,
        top_p: float = DEFAULTS.top_p,
        repetition_penalty: float = DEFAULTS.repetition_penalty,
        max_tokens: int = DEFAULTS.max_tokens,
        seed: int | None = None,
        model: str = "",
        request: gr.Request | None = None,
    ) -> Generator[JSON, None, None]:
        """Answer a list of messages; nothing is remembered. A last message of the assistant is continued. The result
        has text, ids, tokens (each with id, text, logprob, forced and top, its 5 best candidates), finish_reason, usage
        and seed; message is the answer as an object to append to messages. Updates before it have the text so far.
        """
        with told_to_the_caller():
            settings = SamplingSettings(temperature, top_k, top_p, repetition_penalty, max_tokens, seed)
            conversation = with_system(Conversation.from_messages(messages), system_prompt)
            engine = self._loader.loaded(session_of(request), model).engine
            yield from generation(engine.stream(conversation, settings, session=session_of(request)))

    def tokenize(self, text: str | list[JSON], model: str = "", request: gr.Request | None = None) -> JSON:
        """Return the tokens of a text, or of messages as they are sent to the model: ids, tokens (each with id and
        text) and count. A text never becomes a control token, whatever it spells.
        """
        with told_to_the_caller():
            read = _checked_text(text) if isinstance(text, str) else Conversation.from_messages(text)
            template = self._loader.loaded(session_of(request), model).template
            ids = template.encode(read) if isinstance(read, str) else template.prompt(read)
            return {
                "ids": ids,
                "tokens": [{"id": token_id, "text": template.token_name(token_id)} for token_id in ids],
                "count": len(ids),
            }

    def inspect(
        self,
        messages: list[JSON],
        position: int | None = None,
        layer: int = 1,
        head: int = 0,
        system_prompt: str = "",
        temperature: float = DEFAULTS.temperature,
        top_k: int = DEFAULTS.top_k,
        top_p: float = DEFAULTS.top_p,
        repetition_penalty: float = DEFAULTS.repetition_penalty,
        model: str = "",
        request: gr.Request | None = None,
    ) -> JSON:
        """Look into the model where it chose a token of messages as they are sent to it: candidates before and after
        the settings, the best guesses after each layer, attention, neurons, and the arithmetic of one layer and head.
        """
        with told_to_the_caller():
            settings = SamplingSettings(temperature, top_k, top_p, repetition_penalty)
            conversation = with_system(Conversation.from_messages(messages), system_prompt)
            served = self._loader.loaded(session_of(request), model)
            lens = observed(served).lens
            return inspection(conversation, position, settings, lens, served.template, layer=layer, head=head)

    def model_card(self, model: str = "", request: gr.Request | None = None) -> JSON:
        """Return the loaded model: where it comes from, its sizes, and what was counted from its weights."""
        with told_to_the_caller():
            return card(self._loader.loaded(session_of(request), model))


def add_endpoints(loader: Models[ServedModel]) -> None:
    """Give the page around the caller its API."""
    endpoints = Endpoints(loader)
    remembered = gr.State(NOTHING)
    text, result = Api(None, {"type": "string"}, "answer"), Api(None, _OBJECT, "result")
    _expose(endpoints.chat, [*_parameters(endpoints.chat, "remembered"), remembered], [text, remembered])
    for function in (endpoints.generate, endpoints.tokenize, endpoints.inspect, endpoints.model_card):
        _expose(function, _parameters(function), [result])


def _expose(function: Callable[..., Any], inputs: list[Any], outputs: list[Any]) -> None:
    # Values go to the function as they came: one place judges them, and says the same to everybody.
    gr.on([], function, inputs, outputs, preprocess=False, postprocess=False, concurrency_limit=None)


def _parameters(function: Callable[..., Any], *hidden: str) -> list[Api]:
    """Return an input for each parameter that callers give, with its default and its description."""
    return [
        Api(
            None if parameter.default is inspect.Parameter.empty else parameter.default,
            {"additional_description": ABOUT.get(name, "")} | _SCHEMAS[name],
            name,
        )
        for name, parameter in inspect.signature(function).parameters.items()
        if name not in (*hidden, "request")
    ]


def _checked_text(text: str) -> str:
    """Hold a text to the limits of a whole chat. Raises InvalidMessageError."""
    if len(text) > MAX_TOTAL_CHARACTERS:
        raise InvalidMessageError(f"The text is too long: at most {MAX_TOTAL_CHARACTERS:,} characters.")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidMessageError("The text holds half a character (a lone surrogate): send valid Unicode.") from None
    return text
