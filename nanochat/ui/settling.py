"""What is done with the chat once an answer has ended: by itself, by Stop, or by a failure.

Gradio leaves three things loose here. A stopped answer does not say so; what a later event draws is not saved; and
after a failure the box stays shut with the question gone from it.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import gradio as gr

from nanochat.chat.conversation import Conversation
from nanochat.ui.bubbles import NUMBERS, Bubble, marked_as_stopped
from nanochat.ui.shaping import up_to_the_question

Saved: TypeAlias = list[list[Bubble]]

PLACEHOLDER = "Ask nanochat …"

# Each saved chat travels to the server and back with each answer.
MOST_SAVED_CONVERSATIONS = 50


def settled(shown: list[Bubble], remembered: Conversation, index: int | None, saved: Saved | None) -> list[Any]:
    """Return the chat for the page and for ChatInterface's own state, and the saved chats with this one among them.

    An empty chat is not saved: Gradio would leave it out of the list it shows, and mistake each chat for the next one.
    """
    if not shown:
        return [gr.skip()] * 4
    last = remembered.messages[-1] if remembered.messages else None
    marked = marked_as_stopped(shown, last.ids if last else None)
    place, others = with_saved(marked, index, saved)
    return [gr.skip() if marked == shown else marked, marked, place, others]


def given_back(shown: list[Bubble], remembered: Conversation, index: int | None, saved: Saved | None) -> list[Any]:
    """Return what `settled` returns and the box: with the question in it again, if no word of its answer came.

    An empty chat is what the browser says where nothing has failed: then all is left as it is, but for the box.
    """
    if not shown:
        return [*[gr.skip()] * 4, opened()]
    if (shown[-1].get("metadata") or {}).get("id") == NUMBERS:
        return [*settled(shown, remembered, index, saved), opened()]
    question = up_to_the_question(shown)
    text = "".join(part["text"] for part in question[-1]["content"]) if question else ""
    kept = question[:-1]
    place, others = with_saved(kept, index, saved) if kept else (gr.skip(), gr.skip())
    return [kept, kept, place, others, opened(text)]


def with_saved(shown: list[Bubble], index: int | None, saved: Saved | None) -> tuple[int, Saved]:
    """Return the place of this chat among the saved ones, and these with it."""
    others = saved or []
    if index is None or index >= len(others):
        return 0, [shown, *others]
    return index, [*others[:index], shown, *others[index + 1 :]]


def trimmed(saved: Saved | None) -> Saved:
    """Forget the oldest chats: a browser's store is small, and a full one takes no new chat."""
    return (saved or [])[:MOST_SAVED_CONVERSATIONS]


def stoppable() -> gr.Textbox:
    """Return the box while an answer is written."""
    return gr.Textbox(submit_btn=False, stop_btn=True, interactive=False)


def ready() -> gr.Textbox:
    """Return the box as it was before, but shut: ChatInterface empties it a moment later, and opens it then."""
    return gr.Textbox(submit_btn=True, stop_btn=False, placeholder=PLACEHOLDER)


def opened(text: str | None = None) -> gr.Textbox:
    """Return the box as it was before, with a text in it."""
    box: dict[str, Any] = {"submit_btn": True, "stop_btn": False, "placeholder": PLACEHOLDER, "interactive": True}
    return gr.Textbox(**box) if text is None else gr.Textbox(**box, value=text)
