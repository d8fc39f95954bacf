"""The "Inside" tab: click a token of the answer and see why the model said it.

The drawings come from inspector_views.py. Here they are put on the page, and clicks find their way to them: a drawing's
buttons tell the server their data attributes (inspector.js), the server holds what they stand for. What is looked at is
one observed answer, kept with the selection, so no click mixes two answers; and a branch is made only while the chat on
the page still ends in that answer.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import gradio as gr

from nanochat.chat.conversation import Conversation
from nanochat.chat.sampling import LIMITS, SamplingSettings
from nanochat.chat.template import ChatTemplate
from nanochat.errors import LensError, NanoChatError
from nanochat.lens.branch import branched
from nanochat.lens.observed import Observation, ObservedEngine, answered
from nanochat.ui.bubbles import Bubble, drawn
from nanochat.ui.chat_panel import ChatPanel
from nanochat.ui.controls import Controls
from nanochat.ui.guards import told_to_the_page
from nanochat.ui.inspector_tokens import chips_html, note_html
from nanochat.ui.inspector_views import (
    Selection,
    choices_view,
    continued,
    observed,
    panels,
    selection,
    tokens_view,
    whole,
)
from nanochat.ui.loading import ModelLoader
from nanochat.ui.pace import paced
from nanochat.ui.reply import is_first_token
from nanochat.ui.served import ServedModel

LOOK_SECONDS = 0.7

_QUIET: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
_Branch: TypeAlias = tuple[list[Bubble], Conversation]


class Inspector:
    """The tab's components, drawn where the caller stands; `tie_up` connects them with the chat."""

    def __init__(self, loader: ModelLoader[ServedModel]) -> None:
        self._loader = loader
        script = (Path(__file__).parent / "inspector.js").read_text()
        self.seen: gr.State = gr.State(None)
        self.selected: gr.State = gr.State(None)
        self.clock = gr.Timer(LOOK_SECONDS, active=False)
        self.tokens = gr.HTML(
            chips_html((), ()), js_on_load=script, elem_id="inside-tokens", apply_default_css=False, padding=False
        )
        self.choices = gr.HTML(js_on_load=script, elem_id="inside-choices", apply_default_css=False, padding=False)
        low, high = LIMITS["temperature"].lowest, LIMITS["temperature"].highest
        self.temperature = gr.Slider(
            low, high, step=0.05, label="What if the temperature were", visible=False, elem_id="inside-temperature"
        )
        self.layers = _folded("Layers", script)
        self.attention = _folded("Attention", script)
        self.neurons = _folded("MLP", script)
        self.sums = _folded("Arithmetic", script)

    def tie_up(self, panel: ChatPanel, settings: Controls, tab: gr.Tab, others: list[gr.Tab]) -> None:
        """Connect the tab with the chat; call once, within the page. It follows the answer only while it is open."""
        views = [self.layers, self.attention, self.neurons, self.sums]
        tab.select(lambda: gr.Timer(active=True), None, self.clock, **_QUIET)
        for other in others:
            other.select(lambda: gr.Timer(active=False), None, self.clock, **_QUIET)
        followed = [self.seen, self.tokens, self.clock]
        self.clock.tick(self._follow, [self.seen, self.selected], followed, **_QUIET)
        self.tokens.click(
            self._select, self.seen, [self.selected, self.tokens, self.choices, self.temperature, *views], **_QUIET
        )
        self.temperature.input(
            self._what_if, [self.selected, self.temperature], self.choices, trigger_mode="always_last", **_QUIET
        )
        self.attention.click(self._head, self.selected, [self.selected, self.attention, self.sums], **_QUIET)
        chat = panel.interface
        branching = self.choices.click(
            self._branch,
            # The system prompt comes first among the settings; it stands in the chat already.
            [self.selected, panel.remembered, chat.chatbot, *settings.inputs[1:]],
            [chat.chatbot, panel.remembered],
            show_progress="hidden",
            concurrency_limit=None,
            api_visibility="private",
        )
        kept = [chat.chatbot_state, chat.chatbot_value]
        branching.then(lambda bubbles: (bubbles, bubbles), chat.chatbot, kept, **_QUIET)
        # Stopped by the same button as any other answer.
        self.choices.click(lambda: gr.Textbox(submit_btn=False, stop_btn=True), None, chat.textbox, **_QUIET)
        for end in (branching, chat.textbox.stop(None, cancels=[branching], **_QUIET)):
            end.then(lambda: gr.Textbox(submit_btn=True, stop_btn=False), None, chat.textbox, **_QUIET)

    def _observed(self) -> tuple[ObservedEngine, ChatTemplate]:
        served = self._loader.loaded()
        return observed(served), served.template

    def _follow(self, shown: Observation | None, selected: Selection | None, request: gr.Request) -> Any:
        """Draw the tokens of the latest answer, if there are new ones."""
        if not self._loader.wait(0):
            return gr.skip(), gr.skip(), gr.skip()
        try:
            engine, template = self._observed()
        except NanoChatError as error:
            return None, note_html(str(error)), gr.Timer(active=False)
        seen = engine.latest(request.session_hash or "")
        if seen is None or seen is shown:
            return gr.skip(), gr.skip(), gr.skip()
        same = selected is not None and selected.seen.trace is seen.trace
        return seen, tokens_view(seen, template, selected.position if same and selected else None), gr.skip()

    def _select(self, seen: Observation | None, event: gr.EventData) -> tuple[Any, ...]:
        with told_to_the_page():
            engine, template = self._observed()
            chosen = selection(seen, _carried(event, "place"))
            views = panels(chosen, engine.lens, template)
            return (
                chosen,
                tokens_view(seen, template, chosen.position),
                choices_view(chosen, engine.lens, template),
                gr.Slider(value=chosen.seen.settings.temperature, visible=True),
                views.layers,
                views.attention,
                views.neurons,
                views.sums,
            )

    def _what_if(self, selected: Selection | None, temperature: float) -> Any:
        """Redraw the candidates under another temperature, from what was captured."""
        if selected is None:
            return gr.skip()
        with told_to_the_page():
            engine, template = self._observed()
            return choices_view(selected, engine.lens, template, temperature)

    def _head(self, selected: Selection | None, event: gr.EventData) -> tuple[Any, ...]:
        """Show another head large."""
        with told_to_the_page():
            engine, template = self._observed()
            if selected is None:
                raise LensError("Click a token first.")
            chosen = replace(selected, layer=whole(_carried(event, "layer")), head=whole(_carried(event, "head")))
            views = panels(chosen, engine.lens, template)
            return chosen, views.attention, views.sums

    def _branch(
        self,
        selected: Selection | None,
        remembered: Conversation,
        history: list[Bubble],
        temperature: float,
        top_k: int,
        top_p: float,
        repetition_penalty: float,
        max_tokens: int,
        seed: int | None,
        event: gr.EventData,
        request: gr.Request,
    ) -> Generator[_Branch, None, None]:
        """Go on from the selected token with another one in its place, under the settings as they are now."""
        with told_to_the_page():
            engine, template = self._observed()
            settings = SamplingSettings(temperature, top_k, top_p, repetition_penalty, max_tokens, seed)
            begun = begun_branch(selected, remembered, template, whole(_carried(event, "id")))
            kept = _up_to_the_question(history)
            events = engine.stream(begun, settings, session=request.session_hash or "")
            with closing(paced(continued(events, begun), urgent=is_first_token)) as states:
                for reply in states:
                    yield [*kept, *drawn(reply)], Conversation((*begun.messages[:-1], reply.message))


def begun_branch(
    selected: Selection | None, remembered: Conversation, template: ChatTemplate, token_id: int
) -> Conversation:
    """Return the chat up to the selected token, with another in its place.

    Raises LensError when the chat on the page has gone on, or was edited, since the answer that is looked at.
    """
    if selected is None:
        raise LensError("Click a token first.")
    conversation, offset = answered(selected.seen, template)
    if conversation.messages[-1].ids != (remembered.messages[-1].ids if remembered.messages else None):
        raise LensError("The chat has changed since this answer: click a token of the answer that it ends in now.")
    return branched(conversation, template, len(conversation.messages) - 1, offset + selected.place, token_id)


def _folded(title: str, script: str) -> gr.HTML:
    with gr.Accordion(title, open=False):
        return gr.HTML(
            '<p class="inside-note">Click a token of the answer first.</p>',
            js_on_load=script,
            apply_default_css=False,
            padding=False,
        )


def _carried(event: gr.EventData, name: str) -> object:
    """Return what the clicked button carries under a name; None for a click that this page has not made."""
    values = event._data
    return values.get(name) if isinstance(values, dict) else None


def _up_to_the_question(history: list[Bubble]) -> list[Bubble]:
    """Return the bubbles without the last answer."""
    questions = [place for place, bubble in enumerate(history) if bubble.get("role") == "user"]
    return history[: questions[-1] + 1] if questions else []
