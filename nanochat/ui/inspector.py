"""The "Inside" tab: click a token of the answer and see why the model said it.

The drawings come from inspector_views.py. Here they are put on the page, and clicks find their way to them: a drawing's
buttons tell the server their data attributes (inspector.js), the server holds what they stand for. What is looked at is
one observed answer, kept with the selection, so no click mixes two answers; and all clicks of a reader go one way, one
after another, so the drawings beside each other are of one token. What cannot be shown is said where it would stand.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import gradio as gr

from nanochat.chat.conversation import Conversation
from nanochat.chat.sampling import LIMITS, SamplingSettings
from nanochat.chat.template import ChatTemplate
from nanochat.errors import LensError, NanoChatError
from nanochat.lens.observed import Observation, ObservedEngine
from nanochat.ui.answering import Answering
from nanochat.ui.bubbles import Bubble, drawn
from nanochat.ui.chat_panel import ChatPanel
from nanochat.ui.controls import Controls
from nanochat.ui.guards import session_of, told_to_the_page
from nanochat.ui.inspector_branch import begun_branch
from nanochat.ui.inspector_tokens import chips_html, note_html
from nanochat.ui.inspector_views import (
    Selection,
    choices_view,
    is_edited_since,
    is_worth_drawing,
    observed,
    panels,
    prompt_view,
    selection,
    tokens_view,
    whole,
)
from nanochat.ui.models import Models
from nanochat.ui.served import ServedModel
from nanochat.ui.settling import opened, stoppable
from nanochat.ui.shaping import up_to_the_question

LOOK_SECONDS = 0.7
CLICK_FIRST = "Click a token of the answer first."
CHANGED = "The chat has changed since this answer. The tokens of the next one will appear here."
EDITED = "This answer was edited since: what the model thought was of other words. Continue it, or ask again."

_QUIET: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
# What to draw anew, by the component it belongs to.
_Drawn: TypeAlias = dict[gr.components.Component | gr.Timer, Any]


class Inspector:
    """The tab's components, drawn where the caller stands; `tie_up` connects them with the chat."""

    def __init__(self, loader: Models[ServedModel]) -> None:
        self._loader = loader
        self._answering = Answering(loader)
        script = (Path(__file__).parent / "inspector.js").read_text()
        self.seen: gr.State = gr.State(None)
        self.selected: gr.State = gr.State(None)
        # Filled in by the page's script as a request leaves.
        self.asked = gr.JSON(visible=False)
        self.clock = gr.Timer(LOOK_SECONDS, active=False)
        self.prompt = _drawing("inside-prompt", script)
        self.tokens = _drawing("inside-tokens", script, chips_html(()))
        low, high = LIMITS["temperature"].lowest, LIMITS["temperature"].highest
        self.temperature = gr.Slider(
            low, high, step=0.05, label="What if the temperature were", visible=False, elem_id="inside-temperature"
        )
        self.choices = _drawing("inside-choices", script)
        folded = []
        for title in ("Layers", "Attention", "MLP", "Arithmetic"):
            with gr.Accordion(title, open=False):
                folded.append(_drawing(f"inside-{title.lower()}", script, note_html(CLICK_FIRST)))
        self.layers, self.attention, self.neurons, self.sums = folded

    @property
    def views(self) -> list[Any]:
        """What `cleared` gives values for: all that is on the tab, and what is behind it."""
        return [*self._chosen, self.seen, self.prompt, self.tokens]

    @property
    def _chosen(self) -> list[Any]:
        """What belongs to the selected token."""
        folded = [self.layers, self.attention, self.neurons, self.sums]
        return [self.selected, self.temperature, self.choices, *folded]

    def cleared(self, words: str = "") -> _Drawn:
        """Return the tab as it is before any answer, saying why."""
        tokens = note_html(words) if words else chips_html(())
        return self._unselected() | {self.seen: None, self.prompt: "", self.tokens: tokens}

    def tie_up(self, panel: ChatPanel, settings: Controls, tab: gr.Tab, others: list[gr.Tab]) -> None:
        """Connect the tab with the chat; call once, within the page. It follows the answer only while it is open."""
        tab.select(lambda: gr.Timer(active=True), None, self.clock, **_QUIET)
        for other in others:
            other.select(lambda: gr.Timer(active=False), None, self.clock, **_QUIET)
        followed = [self.clock, *self.views]
        self.clock.tick(self._follow, [self.seen, panel.remembered], followed, **_QUIET)
        clicks = [self.prompt.click, self.tokens.click, self.attention.click, self.temperature.input]
        looking = [self.seen, self.selected, self.temperature, self.asked]
        # What was clicked is read when a request leaves: Gradio sends the event of the one before again, not the last.
        js = "(seen, selected, temperature) => [seen, selected, temperature, document.nanochatAsked]"
        gr.on(clicks, self._look, looking, self._chosen, trigger_mode="always_last", js=js, **_QUIET)
        chat = panel.interface
        left = [chat.new_chat_button.click, chat.chat_history_dataset.click, chat.chatbot.clear, chat.chatbot.undo]
        # What was seen is kept, so that it is not taken for news.
        gone = self._unselected() | {self.prompt: "", self.tokens: note_html(CHANGED)}
        gr.on(left, lambda: gone, None, list(gone), **_QUIET)
        self._tie_branches(panel, settings)

    def _tie_branches(self, panel: ChatPanel, settings: Controls) -> None:
        chat = panel.interface
        self.choices.click(stoppable, None, chat.textbox, **_QUIET)
        branching = self.choices.click(
            self._branch,
            # The system prompt comes first among the settings; it stands in the chat already.
            [self.selected, panel.remembered, chat.chatbot, *settings.inputs[1:]],
            [chat.chatbot, panel.remembered],
            show_progress="hidden",
            concurrency_limit=None,
            api_visibility="private",
        )
        # Stopped by the same button as any other answer, and put in order as any other.
        chat.textbox.stop(None, cancels=[branching], **_QUIET)
        panel.settle(branching, branching, opened)

    def _unselected(self, words: str = CLICK_FIRST) -> _Drawn:
        """Return the tab without a selected token."""
        note, said = note_html(CLICK_FIRST), "" if words is CLICK_FIRST else note_html(words)
        folded = dict.fromkeys((self.layers, self.attention, self.neurons, self.sums), note)
        return {self.selected: None, self.temperature: gr.Slider(visible=False), self.choices: said} | folded

    def _observed(self, request: gr.Request) -> tuple[ObservedEngine, ChatTemplate]:
        served = self._loader.loaded(session_of(request))
        return observed(served), served.template

    def _follow(self, shown: Observation | None, remembered: Conversation, request: gr.Request) -> Any:
        """Draw the tokens of the latest answer, if there are new ones; nothing of one that was edited since."""
        session = session_of(request)
        # Asked for its status only: an open tab must not keep a model that nobody talks to.
        served = self._loader.status(session)
        if not isinstance(served, ServedModel):
            return gr.skip()
        try:
            seen = observed(served).latest(session)
        except LensError as error:
            return self.cleared(str(error)) | {self.clock: gr.Timer(active=False)}
        if seen is None:
            return gr.skip()
        if is_edited_since(seen, remembered):
            return self.cleared(EDITED if remembered.messages else CHANGED) if shown is not None else gr.skip()
        if not is_worth_drawing(seen, shown):
            return gr.skip()
        news: _Drawn = {self.seen: seen, self.tokens: tokens_view(seen, served.template)}
        if shown is None or shown.name != seen.name:
            news |= self._unselected() | {self.prompt: prompt_view(seen, served.template)}
        return news

    def _look(
        self,
        seen: Observation | None,
        selected: Selection | None,
        temperature: float,
        asked: object,
        request: gr.Request,
    ) -> _Drawn:
        """Show another token, another head of the same token, or its candidates under another temperature."""
        try:
            engine, template = self._observed(request)
            place, layer, head = (_carried(asked, name) for name in ("place", "layer", "head"))
            if place is not None:
                chosen = selection(seen, place, engine.mark)
                if selected is not None and chosen.is_of(selected):
                    # Clicked again, or come to its end since: all is as it was but what can be done with it.
                    chosen = replace(selected, seen=chosen.seen)
                    return {
                        self.selected: chosen,
                        self.choices: choices_view(chosen, engine.lens, template, temperature),
                    }
                return self._token(chosen, engine, template)
            if selected is None or selected.seen.engine != engine.mark:
                raise LensError(CLICK_FIRST)
            if layer is None:
                SamplingSettings(temperature)
                return {self.choices: choices_view(selected, engine.lens, template, temperature)}
            chosen = replace(selected, layer=whole(layer), head=whole(head))
            views = panels(chosen, engine.lens, template)
            return {self.selected: chosen, self.attention: views.attention, self.sums: views.sums}
        except NanoChatError as error:
            return self._unselected(str(error))

    def _token(self, chosen: Selection, engine: ObservedEngine, template: ChatTemplate) -> _Drawn:
        views = panels(chosen, engine.lens, template)
        return {
            self.selected: chosen,
            self.temperature: gr.Slider(value=chosen.seen.settings.temperature, visible=True),
            self.choices: choices_view(chosen, engine.lens, template),
            self.layers: views.layers,
            self.attention: views.attention,
            self.neurons: views.neurons,
            self.sums: views.sums,
        }

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
    ) -> Generator[tuple[list[Bubble], Conversation], None, None]:
        """Go on from the selected token with another one in its place, under the settings as they are now."""
        with told_to_the_page():
            model = self._loader.chosen(session_of(request))
            _, template = self._observed(request)
            settings = SamplingSettings(temperature, top_k, top_p, repetition_penalty, max_tokens, seed)
            begun = begun_branch(selected, remembered, template, whole(_carried(event._data, "id")))
            kept = up_to_the_question(history)
            for reply, memory in self._answering.answers(model, begun, settings, remembered, request):
                yield [*kept, *drawn(reply)], memory


def _drawing(name: str, script: str, value: str = "") -> gr.HTML:
    return gr.HTML(value, js_on_load=script, elem_id=name, apply_default_css=False, padding=False)


def _carried(values: object, name: str) -> object:
    """Return what the clicked button carries under a name; None for a click that this page has not made."""
    return values.get(name) if isinstance(values, dict) else None
