"""The line below the message box that says what a command did, and the way by which commands come there.

What begins with a slash is handed to `follow` by the browser (page.js, command_line.js) beside Gradio's own submission,
which the panel's validator ends: so a command needs no turn of the chat, and whatever goes wrong in the browser, it
is never sent to the model.
"""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any

import gradio as gr

from nanochat.ui.commands import Command, Refusal, parse
from nanochat.ui.controls import Controls
from nanochat.ui.help_lists import help_html
from nanochat.ui.memory import NOTHING

_QUIET: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}


def note_html(text: str, kind: str = "done") -> str:
    """Return a sentence for the line; `kind` is `done` or `refused`."""
    return f'<p class="{kind}">{html.escape(text)}</p>'


class CommandLine:
    """The line, drawn where the caller stands; `tie_up` connects it with what commands change."""

    def __init__(self) -> None:
        script = (Path(__file__).parent / "command_line.js").read_text()
        self.note = gr.HTML(js_on_load=script, elem_id="note", apply_default_css=False, padding=False)

    def tie_up(self, chat: gr.ChatInterface, remembered: gr.State, controls: Controls) -> None:
        """Let commands reach the settings and the chat; call once, within the page."""
        named = controls.by_name
        fresh = [chat.conversation_id, chat.chatbot, chat.chatbot_state, chat.chatbot_value, remembered]

        def follow(event: gr.EventData) -> list[Any]:
            typed = event._data.get("text") if isinstance(event._data, dict) else None
            command = parse(typed) if isinstance(typed, str) else None
            if not isinstance(command, Command):
                text = note_html(command.text, "refused") if isinstance(command, Refusal) else gr.skip()
                return [gr.skip(), text, *[gr.skip()] * (len(named) + len(fresh))]
            changed = [command.value if name == command.name else gr.skip() for name in named]
            note = _scrolling(help_html()) if command.name == "help" else note_html(command.note)
            empty = [None, [], [], [], NOTHING] if command.name == "clear" else [gr.skip()] * len(fresh)
            return ["", note, *changed, *empty]

        self.note.submit(follow, None, [chat.textbox, self.note, *named.values(), *fresh], **_QUIET)


def _scrolling(drawing: str) -> str:
    """Return a long drawing in a region of its own, which the keyboard can scroll too."""
    return f'<div class="scroll" tabindex="0" role="region" aria-label="Commands and keys">{drawing}</div>'
