"""The line at the top of the page: the model's name or how far it has come, and where there are several, the choice.

A choice is the visitor's own and holds from the next message on; an answer that is being written ends on the model it
began with.
"""

from __future__ import annotations

from typing import Any

import gradio as gr

from nanochat.ui.guards import session_of, told_to_the_page
from nanochat.ui.inspector import Inspector
from nanochat.ui.loading import Dropped, Failed, Loading
from nanochat.ui.model_card import card_html
from nanochat.ui.models import Models
from nanochat.ui.served import ServedModel
from nanochat.ui.status import status_html

POLL_SECONDS = 0.5

_QUIET: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}


class ModelLine:
    """The line's components, drawn where the caller stands; `tie_up` keeps them true, and the model card with them."""

    def __init__(self, models: Models[ServedModel]) -> None:
        self._models = models
        self.choice: gr.Dropdown | None = None
        with gr.Row(elem_id="top"):
            self.status = gr.HTML(status_html(models.status()), elem_id="status", padding=False)
            if len(models.names) > 1:
                self.choice = gr.Dropdown(
                    list(models.names),
                    value=models.chosen(),
                    label="Model",
                    show_label=False,
                    container=False,
                    filterable=False,
                    min_width=120,
                    elem_id="model-choice",
                )
            self.retry = gr.Button("Try again", visible=False, size="sm", elem_id="load-again")
        # The opening starts it where it is needed: a card that stands already is not drawn again under its reader.
        self.clock = gr.Timer(POLL_SECONDS, active=False)

    def tie_up(self, page: gr.Blocks, card: gr.HTML, inspector: Inspector) -> None:
        """Draw status and card at the opening of the page, and while a model is on its way; call once, within it."""
        outputs = [self.status, self.retry, self.clock, card]
        page.load(self._open, None, outputs, **_QUIET)
        self.clock.tick(self._look, None, outputs, **_QUIET)
        self.retry.click(self._again, None, self.clock, **_QUIET)
        if self.choice is not None:
            # The server knows the choice for as long as it knows the visitor; the browser may have kept an older page.
            page.load(self._chosen, None, self.choice, **_QUIET)
            self.choice.input(self._choose, self.choice, outputs, **_QUIET)
            # What was seen inside one model is not looked at with another.
            self.choice.input(inspector.cleared, None, inspector.views, **_QUIET)

    def _look(self, request: gr.Request) -> tuple[Any, ...]:
        now = self._models.status(session_of(request))
        return (
            status_html(now),
            gr.Button(visible=isinstance(now, Failed) and not now.final),
            gr.Timer(active=isinstance(now, Loading)),
            gr.skip() if isinstance(now, Loading | Failed | Dropped) else card_html(now),
        )

    def _open(self, request: gr.Request) -> tuple[Any, ...]:
        # A model that made room for another is wanted again.
        self._models.wait(0, session_of(request))
        return self._look(request)

    def _again(self, request: gr.Request) -> gr.Timer:
        self._models.start(session_of(request))
        return gr.Timer(active=True)

    def _chosen(self, request: gr.Request) -> str:
        return self._models.chosen(session_of(request))

    def _choose(self, name: object, request: gr.Request) -> tuple[Any, ...]:
        with told_to_the_page():
            self._models.choose(session_of(request), name)
        return self._look(request)
