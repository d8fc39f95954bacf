"""The chat itself: Gradio's ChatInterface over the engine, with the ends tied up that it leaves loose.

ChatInterface brings sending, stop, retry, undo, saved conversations and examples. What it leaves loose in 6.31: its
saved conversations are lost when the server restarts, a chat that began with an example is not saved, the page is left
in disorder when an answer fails or is stopped (settling.py), and an edited answer would be asked as a question.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import gradio as gr
from gradio.events import Dependency

from nanochat.errors import InvalidMessageError
from nanochat.ui.answering import Answering, checked
from nanochat.ui.chat_events import answering_events, column_of, dependency, last_after, let_go
from nanochat.ui.command_line import CommandLine
from nanochat.ui.commands import parse
from nanochat.ui.controls import Controls
from nanochat.ui.guards import TextChatbot
from nanochat.ui.memory import NOTHING
from nanochat.ui.models import Models
from nanochat.ui.served import ServedModel
from nanochat.ui.settling import PLACEHOLDER, given_back, opened, ready, settled, stoppable, trimmed

EXAMPLES = (
    "What is the capital of France?",
    "What is 123 * 456?",
    "Tell me a story about a fox",
    "Why is the sky blue?",
)

# Where the browser keeps the chats. A new name or key here would hide everybody's saved chats from them. The key is no
# secret: it reaches every browser with the page, and Gradio asks for one.
STORAGE_KEY = "nanochat-conversations"
STORAGE_SECRET = "nanochat"

WELCOME = """## What would you like to know?

A small language model of the NanoChat kind. It can talk, tell stories and calculate; what it says can be wrong."""

_QUIET: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
_STREAMING: dict[str, Any] = {"show_progress": "hidden", "concurrency_limit": None, "api_visibility": "private"}
_LATEX: list[dict[str, str | bool]] = [
    {"left": "$$", "right": "$$", "display": True},
    {"left": "\\[", "right": "\\]", "display": True},
    {"left": "\\(", "right": "\\)", "display": False},
]


class ChatPanel:
    """The chat surface, drawn where the caller stands. `remembered` holds what the page shows, with its ids."""

    def __init__(self, loader: Models[ServedModel], controls: Controls) -> None:
        self._answering = Answering(loader)
        self._controls = controls
        self.remembered = gr.State(NOTHING)
        textbox = _textbox()
        # Before ChatInterface's own, which a validator's refusal keeps from reaching later ones.
        textbox.submit(None, js="() => window.nanochat.typed()", **_QUIET)
        textbox.stop(None, js="() => window.nanochat.stopped()", **_QUIET)
        self.interface = gr.ChatInterface(
            self._answering.reply,
            chatbot=_chatbot(),
            textbox=textbox,
            additional_inputs=[*controls.inputs, self.remembered, controls.prefill],
            additional_outputs=[self.remembered],
            examples=[[example] for example in EXAMPLES],
            cache_examples=False,
            save_history=True,
            validator=_validated,
            show_progress="hidden",
            concurrency_limit=None,
            # The API of the page is another one, whose answers do not depend on who asks.
            api_name="page",
            api_visibility="private",
        )
        self.interface.saved_conversations.storage_key = STORAGE_KEY
        self.interface.saved_conversations.secret = STORAGE_SECRET
        with column_of(textbox):
            self.command_line = CommandLine()

    def tie_up(self, page: gr.Blocks) -> None:
        """Complete the events that ChatInterface leaves open; call once, within the page."""
        chat = self.interface
        answers = answering_events(page, chat)
        for how in ("submit", "retry", "example_select"):
            self.settle(dependency(answers[how]), dependency(last_after(page, answers[how])), ready)
        # ChatInterface would ask the button's value as a question.
        let_go(page, "option_select")
        for answer in (self._going_on(), self._editing()):
            self.settle(answer, answer, opened)
            chat.textbox.stop(None, cancels=[answer], **_QUIET)
        page.load(trimmed, chat.saved_conversations, chat.saved_conversations, **_QUIET)
        self.command_line.tie_up(chat, self.remembered, self._controls)

    def _going_on(self) -> Dependency:
        """Let the button under an unfinished answer go on with it."""
        chat = self.interface
        going_on: Dependency = chat.chatbot.option_select(stoppable, None, chat.textbox, **_QUIET).then(
            self._answering.go_on,
            [chat.chatbot, *self._controls.inputs, self.remembered],
            [chat.chatbot, self.remembered],
            **_STREAMING,
        )
        return going_on

    def _editing(self) -> Dependency:
        """Let a message be edited: an answer stays as it is edited, a question is asked anew from there."""
        chat = self.interface
        question: gr.State = gr.State(None)
        taken = chat.chatbot.edit(
            self._answering.edit,
            [chat.chatbot, self.remembered],
            [chat.chatbot, self.remembered, question, chat.textbox],
            **_STREAMING,
        )
        taken.failure(lambda shown: shown, chat.chatbot_state, chat.chatbot, **_QUIET)
        asking: Dependency = taken.success(
            self._answering.ask_anew,
            [question, chat.chatbot, *self._controls.inputs, self.remembered, self._controls.prefill],
            [chat.chatbot, self.remembered],
            **_STREAMING,
        )
        return asking

    def settle(self, answer: Dependency, end: Dependency, box: Callable[[], gr.Textbox]) -> None:
        """Let the page be put in order once an answer has failed, or after the `end` of what follows it."""
        chat = self.interface
        chats = [chat.chatbot, chat.chatbot_state, chat.conversation_id, chat.saved_conversations]
        shown = [chat.chatbot, self.remembered, chat.conversation_id, chat.saved_conversations]
        answer.then(box, None, chat.textbox, **_QUIET).then(js="() => window.nanochat.focus()", **_QUIET)
        end.then(settled, shown, chats, **_QUIET)
        js = "(shown, ...others) => [window.nanochat.wasStopped() ? [] : shown, ...others]"
        answer.failure(given_back, shown, [*chats, chat.textbox], js=js, **_QUIET)


def _chatbot() -> TextChatbot:
    return TextChatbot(
        label="Conversation",
        show_label=False,
        container=False,
        elem_id="conversation",
        height="100%",
        editable="all",
        buttons=["copy", "copy_all"],
        latex_delimiters=_LATEX,
        # Unknown tags would be kept as elements that show nothing.
        allow_tags=False,
        feedback_options=None,
        layout="bubble",
        placeholder=WELCOME,
    )


def _textbox() -> gr.Textbox:
    return gr.Textbox(
        label="Your message",
        placeholder=PLACEHOLDER,
        container=False,
        elem_id="question",
        lines=1,
        max_lines=8,
        autofocus=True,
        submit_btn=True,
        stop_btn=True,
        scale=7,
    )


def _validated(message: str) -> dict[str, Any]:
    """Judge a question before it leaves the box, so that what is refused is still there to be mended.

    A command is refused without a word: it goes another way, and the line below the box says what came of it.
    """
    if parse(message) is not None:
        return cast(dict[str, Any], gr.validate(False, ""))
    try:
        checked(message)
    except InvalidMessageError as error:
        return cast(dict[str, Any], gr.validate(False, str(error)))
    return cast(dict[str, Any], gr.validate(True, ""))
