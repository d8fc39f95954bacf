"""The chat itself: Gradio's ChatInterface over the engine, with the ends tied up that it leaves loose.

ChatInterface brings sending, stop, retry, undo, edit, saved conversations and examples. What it leaves loose in 6.31:
its saved conversations are lost when the server restarts, an answer to an edited question cannot be stopped, and a chat
that began with an example is not saved.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from typing import Any, TypeAlias, cast

import gradio as gr
from gradio.events import Dependency

from nanochat.chat.conversation import Conversation
from nanochat.chat.sampling import SamplingSettings
from nanochat.errors import InvalidMessageError
from nanochat.ui.bubbles import Bubble, drawn, marked_as_stopped
from nanochat.ui.controls import Controls
from nanochat.ui.guards import TextChatbot, told_to_the_page
from nanochat.ui.loading import ModelLoader
from nanochat.ui.memory import NOTHING, asked
from nanochat.ui.pace import paced
from nanochat.ui.reply import is_first_token, replies
from nanochat.ui.served import ServedModel

Update: TypeAlias = tuple[list[Bubble], Conversation]

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

# Each saved chat travels to the server and back with each answer.
MOST_SAVED_CONVERSATIONS = 50

PLACEHOLDER = "Ask nanochat …"

WELCOME = """## What would you like to know?

A small language model of the NanoChat kind. It can talk, tell stories and calculate; what it says can be wrong."""

_LATEX: list[dict[str, str | bool]] = [
    {"left": "$$", "right": "$$", "display": True},
    {"left": "\\[", "right": "\\]", "display": True},
    {"left": "\\(", "right": "\\)", "display": False},
]


class ChatPanel:
    """The chat surface, drawn where the caller stands. `remembered` holds what the page shows, with its ids."""

    def __init__(self, loader: ModelLoader[ServedModel], controls: Controls) -> None:
        self._loader = loader
        self.remembered = gr.State(NOTHING)
        self.interface = gr.ChatInterface(
            self._reply,
            chatbot=_chatbot(),
            textbox=_textbox(),
            additional_inputs=[*controls.inputs, self.remembered],
            additional_outputs=[self.remembered],
            examples=[[example] for example in EXAMPLES],
            cache_examples=False,
            editable=True,
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

    def tie_up(self, page: gr.Blocks) -> None:
        """Complete the events that ChatInterface leaves open; call once, within the page."""
        chat = self.interface
        quiet: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
        answers = _answers(page, chat)
        chat.chatbot.edit(_stoppable, None, chat.textbox, **quiet)
        for how in ("submit", "retry", "edit", "example_select"):
            answers[how].then(_ready, None, chat.textbox, **quiet).then(js="() => window.nanochat.focus()", **quiet)
            # Not after the click on Stop: what was on its way then would come later and draw the mark over.
            answers[how].then(_marked, chat.chatbot, chat.chatbot, **quiet)
        chat.textbox.stop(None, cancels=[answers["edit"]], **quiet)
        kept = [chat.conversation_id, chat.saved_conversations]
        answers["example_select"].then(_saved, [chat.chatbot, *kept], kept, **quiet)
        page.load(_trimmed, chat.saved_conversations, chat.saved_conversations, **quiet)

    def _reply(
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
    ) -> Generator[Update, None, None]:
        """Answer a question on the page: bubbles to show, and the conversation to remember."""
        with told_to_the_page():
            settings = SamplingSettings(temperature, top_k, top_p, repetition_penalty, max_tokens, seed)
            conversation = asked(remembered, history, message, system_prompt)
            # A generator can be stopped only where it yields, so not even this wait is silent.
            while not self._loader.wait(0.1):
                yield [], remembered
            events = self._loader.loaded().engine.stream(conversation, settings, session=request.session_hash or "")
            with closing(paced(replies(events), urgent=is_first_token)) as states:
                for reply in states:
                    memory = conversation.append(reply.message) if reply.begun else remembered
                    yield drawn(reply), memory


def _chatbot() -> TextChatbot:
    return TextChatbot(
        label="Conversation",
        show_label=False,
        container=False,
        elem_id="conversation",
        height="100%",
        editable="user",
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
    """Judge a question before it leaves the box, so that what is refused is still there to be mended."""
    try:
        Conversation.from_messages([{"role": "user", "content": message}])
    except InvalidMessageError as error:
        return cast(dict[str, Any], gr.validate(False, str(error).replace("Message 1", "Your message")))
    return cast(dict[str, Any], gr.validate(True, ""))


def _answers(page: gr.Blocks, chat: gr.ChatInterface) -> dict[str, Dependency]:
    """Return the events that run the chat function, by what starts them: submit, retry, edit, example_select …"""
    answers = {}
    for event in page.fns.values():
        if chat.null_component in event.outputs:
            first = event
            while first.trigger_after is not None:
                first = page.fns[first.trigger_after]
            answers[first.targets[0][1]] = Dependency(None, cast(Any, event).get_config(), event._id, event.fn)
    return answers


def _stoppable() -> gr.Textbox:
    return gr.Textbox(submit_btn=False, stop_btn=True)


def _ready() -> gr.Textbox:
    """Return the box as it was before; ChatInterface leaves it without its placeholder."""
    return gr.Textbox(submit_btn=True, stop_btn=False, placeholder=PLACEHOLDER)


def _marked(shown: list[Bubble]) -> Any:
    """Say of an answer that it was stopped, or leave the chat as it is when it ended by itself."""
    marked = marked_as_stopped(shown)
    return gr.skip() if marked == shown else marked


def _saved(shown: list[Bubble], index: int | None, saved: list[list[Bubble]] | None) -> tuple[int, list[list[Bubble]]]:
    others = saved or []
    if index is None or index >= len(others):
        return 0, [shown, *others]
    return index, [*others[:index], shown, *others[index + 1 :]]


def _trimmed(saved: list[list[Bubble]] | None) -> list[list[Bubble]]:
    """Forget the oldest chats: a browser's store is small, and a full one takes no new chat."""
    return (saved or [])[:MOST_SAVED_CONVERSATIONS]
