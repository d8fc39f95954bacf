"""Gradio's classes with the doors closed that this page does not use.

Gradio trusts what a browser sends back: a chat may contain files of the server and any component with any arguments,
and a request it cannot read ends in a traceback that repeats the user's words in the log. Here a chat holds text, and a
request of the wrong shape is refused in one sentence.
"""

from __future__ import annotations

import html
from abc import ABCMeta
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import gradio as gr
from gradio.block_function import BlockFunction
from gradio.component_meta import ComponentMeta
from gradio.components.chatbot import ChatbotDataMessages

from nanochat.errors import NanoChatError

_WRONG_SHAPE = "This request does not have the form its endpoint takes: see the API page."


@contextmanager
def told_to_the_page() -> Iterator[None]:
    """Turn an error of ours into the notice that Gradio shows, which it renders as HTML."""
    try:
        yield
    except NanoChatError as error:
        raise refusal(html.escape(str(error))) from None


@contextmanager
def told_to_the_caller() -> Iterator[None]:
    """Turn an error of ours into the error that a caller of the API receives, as plain text."""
    try:
        yield
    except NanoChatError as error:
        raise refusal(str(error)) from None


def refusal(words: str) -> gr.Error:
    """Return an error that is shown and not logged: nothing is broken here, and the log holds no words of users."""
    return gr.Error(words, title="nanochat", print_exception=False)


def session_of(request: gr.Request | None) -> str:
    """Return what tells one visitor from another, for as long as the page is open; empty where nobody asks."""
    return (request.session_hash if request else None) or ""


class StubFree(ComponentMeta):
    """Makes components without writing a .pyi file beside this module, as Gradio does for each new class."""

    def __new__(cls, name: str, bases: tuple[type, ...], attributes: dict[str, Any]) -> type:
        return ABCMeta.__new__(cls, name, bases, attributes)


class TextChatbot(gr.Chatbot, metaclass=StubFree):
    """A chatbot of texts, kept as they are: no file and no component comes in, and no indentation is lost."""

    is_template = True

    def preprocess(self, payload: ChatbotDataMessages | None) -> list[Any]:
        return super().preprocess(payload and ChatbotDataMessages(root=_texts(payload.model_dump())))

    def postprocess(self, value: list[Any] | None) -> ChatbotDataMessages:
        return super().postprocess(_texts(value or []))


class SettingSlider(gr.Slider, metaclass=StubFree):
    """A slider that leaves it to the settings to judge a value: one rule and one sentence for page and API."""

    is_template = True

    def preprocess(self, payload: float) -> float:
        return payload


class EmptyNumber(gr.Number, metaclass=StubFree):
    """A number that may be left out: an empty field stays empty, where Gradio's would say 0 once it is shown."""

    is_template = True

    def preprocess(self, payload: Any) -> float | int | None:
        return None if payload == "" else super().preprocess(payload)

    def postprocess(self, value: float | int | None) -> Any:
        return "" if value is None else super().postprocess(value)


class GuardedBlocks(gr.Blocks):
    """Blocks that complete a call which leaves settings out, and refuse one that is malformed."""

    def validate_inputs(self, block_fn: BlockFunction, inputs: list[Any]) -> None:
        """Fill in the defaults that Gradio fills in for its own clients only; raise gr.Error for what is left."""
        if len(inputs) < len(block_fn.inputs):
            inputs[:] = _completed(block_fn.inputs, inputs)
        super().validate_inputs(block_fn, inputs)

    async def preprocess_data(self, block_fn: BlockFunction, inputs: list[Any], *args: Any, **kwargs: Any) -> list[Any]:
        """Read a request; a value that its component cannot read is the sender's mistake. Raises gr.Error."""
        try:
            return cast(list[Any], await super().preprocess_data(block_fn, inputs, *args, **kwargs))
        except (ValueError, TypeError, KeyError, AttributeError):
            raise refusal(_WRONG_SHAPE) from None


def _completed(blocks: Sequence[Any], given: Iterable[Any]) -> list[Any]:
    """Return a value for each input: those given in order, then defaults. States are no business of a caller."""
    values = iter(given)
    return [None if block.skip_api else next(values, block.value) for block in blocks]


def _texts(bubbles: Iterable[Any]) -> list[Any]:
    """Return the bubbles with their texts as Gradio leaves them alone. Raises gr.Error for anything but text."""
    texts = []
    for bubble in bubbles:
        content = bubble.get("content") if isinstance(bubble, dict) else None
        items = [
            {"type": "text", "text": item} if isinstance(item, str) else item
            for item in (content if isinstance(content, list) else [content])
        ]
        if not all(isinstance(item, dict) and item.get("type") == "text" for item in items):
            raise refusal("A chat holds text only.")
        texts.append({**bubble, "content": items})
    return texts
