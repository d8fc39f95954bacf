"""The page: the chat in the middle, the saved chats to its left, settings and the model to its right.

`build` draws it over models that need not be loaded yet: a line at the top says how far the model has come, and is
replaced by the model's name.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr
from starlette.middleware import Middleware

from nanochat.chat.conversation import Conversation
from nanochat.ui.api import add_endpoints
from nanochat.ui.bubbles import Bubble
from nanochat.ui.chat_panel import ChatPanel
from nanochat.ui.controls import controls
from nanochat.ui.export import as_json, as_markdown, shown_conversation
from nanochat.ui.guards import GuardedBlocks, session_of, told_to_the_page
from nanochat.ui.inspector import Inspector
from nanochat.ui.inspector_replay import ReplayButtons
from nanochat.ui.middleware import BodyLimit, BrowserRules
from nanochat.ui.model_line import ModelLine
from nanochat.ui.models import Models
from nanochat.ui.served import ServedModel
from nanochat.ui.theme import theme

FOLDER = Path(__file__).parent


def build(loader: Models[ServedModel]) -> gr.Blocks:
    """Return the page; `launch_options` are what it needs to be launched with."""
    page: gr.Blocks
    with GuardedBlocks(title="nanochat", fill_height=True, fill_width=True, analytics_enabled=False) as page:
        line = ModelLine(loader)
        with gr.Row(elem_id="desk", equal_height=False):
            middle, side = gr.Column(scale=7, elem_id="chat"), gr.Column(scale=3, min_width=320, elem_id="side")
        with side, gr.Tabs():
            with gr.Tab("Settings", id="settings") as settings_tab:
                settings = controls()
                buttons = _export_buttons()
            with gr.Tab("Model", id="model") as model_tab:
                script = (FOLDER / "model_card.js").read_text()
                model = gr.HTML(elem_id="model-card", js_on_load=script, padding=False)
            with gr.Tab("Inside", id="inside") as inside_tab:
                inspector = Inspector(loader)
                replay = ReplayButtons(loader)
        with middle:
            panel = ChatPanel(loader, settings)
        line.tie_up(page, model, inspector)
        _wire_exports(loader, panel, buttons)
        panel.tie_up(page)
        inspector.tie_up(panel, settings, inside_tab, [settings_tab, model_tab])
        replay.tie_up(page, panel, settings)
        add_endpoints(loader)
    return page


def launch_options() -> dict[str, Any]:
    """Return what Gradio takes only at launch: looks, limits and the middleware."""
    return {
        "theme": theme(),
        "css_paths": [FOLDER / name for name in ("style.css", "inspector.css", "model_card.css")],
        "js": (FOLDER / "page.js").read_text(),
        "app_kwargs": {"middleware": [Middleware(BrowserRules), Middleware(BodyLimit)]},
        "footer_links": ["api"],
        "max_file_size": "1kb",
        "state_session_capacity": 1000,
        "enable_monitoring": False,
        "mcp_server": False,
        "pwa": False,
        "run_history": False,
        "share": False,
        "show_error": False,
        "ssr_mode": False,
    }


def _export_buttons() -> tuple[gr.Button, gr.Button]:
    with gr.Row(elem_id="export"):
        return gr.Button("Save as Markdown", size="sm"), gr.Button("Save as JSON", size="sm")


def _wire_exports(loader: Models[ServedModel], panel: ChatPanel, buttons: tuple[gr.Button, gr.Button]) -> None:
    """Let each button hand the chat to the browser, which saves it: nothing of it is left on the server."""
    quiet: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
    carried = gr.Textbox(visible=False)

    def markdown(history: list[Bubble], remembered: Conversation) -> str:
        with told_to_the_page():
            return as_markdown(shown_conversation(remembered, history))

    def json(history: list[Bubble], remembered: Conversation, request: gr.Request) -> str:
        with told_to_the_page():
            model = loader.loaded(session_of(request))
            return as_json(shown_conversation(remembered, history), model.checkpoint.source, model.template.wrote)

    for button, function, name in zip(buttons, (markdown, json), ("chat.md", "chat.json"), strict=True):
        button.click(function, [panel.interface.chatbot, panel.remembered], carried, **quiet).success(
            None, carried, None, js=f"(text) => window.nanochat.save({name!r}, text)"
        )
