"""Links that give an answer again, and the same call for a program: copied by a button, followed when the page opens.

A link is the page's address with one parameter. Following it sets the settings and answers anew; on other weights the
answer may be another one, and the page says so.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from typing import Any, TypeAlias

import gradio as gr

from nanochat.chat.conversation import Conversation, Message
from nanochat.chat.sampling import SamplingSettings
from nanochat.errors import LensError, NanoChatError
from nanochat.lens.replay import Replay, curl_call, decoded, encoded, python_call
from nanochat.ui.bubbles import Bubble, drawn
from nanochat.ui.chat_panel import ChatPanel
from nanochat.ui.controls import ABOUT, Controls
from nanochat.ui.guards import told_to_the_page
from nanochat.ui.inspector_views import continued, observed
from nanochat.ui.loading import ModelLoader
from nanochat.ui.pace import paced
from nanochat.ui.reply import Reply, is_first_token, parts_of
from nanochat.ui.served import ServedModel

PARAMETER = "replay"

_QUIET: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
_COPY = "(text) => navigator.clipboard.writeText(text)"
_Update: TypeAlias = tuple[list[Bubble], Conversation]


class ReplayButtons:
    """Three buttons, drawn where the caller stands; `tie_up` connects them, and the links, with the chat."""

    def __init__(self, loader: ModelLoader[ServedModel]) -> None:
        self._loader = loader
        with gr.Row(elem_id="replay"):
            self.buttons = [gr.Button(f"Copy {what}", size="sm") for what in ("link", "Python", "curl")]
        self._carried = gr.Textbox(visible=False)
        self._followed: gr.State = gr.State(None)

    def tie_up(self, page: gr.Blocks, panel: ChatPanel, settings: Controls) -> None:
        """Connect the buttons and the links with the chat; call once, within the page."""
        for button, function in zip(self.buttons, (self._link, self._python, self._curl), strict=True):
            button.click(function, None, self._carried, **_QUIET).success(None, self._carried, None, js=_COPY)
        chat = panel.interface
        page.load(self._arrive, None, [self._followed, *settings.inputs], **_QUIET)
        following = self._followed.change(
            self._follow,
            self._followed,
            [chat.chatbot, panel.remembered],
            show_progress="hidden",
            concurrency_limit=None,
            api_visibility="private",
        )
        kept = [chat.chatbot_state, chat.chatbot_value]
        following.then(lambda bubbles: (bubbles, bubbles), chat.chatbot, kept, **_QUIET)

    def _latest(self, request: gr.Request) -> Replay:
        """Return what led to the latest answer. Raises LensError where there is none."""
        served = self._loader.loaded()
        seen = observed(served).latest(request.session_hash or "")
        if seen is None:
            raise LensError("There is no answer to give again: ask something first.")
        return Replay(seen.conversation, seen.settings, served.checkpoint.checksum)

    def _link(self, request: gr.Request) -> str:
        with told_to_the_page():
            return f"{address(request)}/?{PARAMETER}={encoded(self._latest(request))}"

    def _python(self, request: gr.Request) -> str:
        with told_to_the_page():
            return python_call(self._latest(request), address(request))

    def _curl(self, request: gr.Request) -> str:
        with told_to_the_page():
            return curl_call(self._latest(request), address(request))

    def _arrive(self, request: gr.Request) -> list[Any]:
        """Keep the link a visitor came by, and set the settings as it says; a refusal is kept in its place.

        It is told by `_follow`, since Gradio shows notices of queued events only.
        """
        value = request.query_params.get(PARAMETER)
        settings = [gr.skip()] * len(ABOUT)
        if not value:
            return [gr.skip(), *settings]
        if not self._loader.wait(0):
            return ["The model is still loading: open the link again when its name is there.", *settings]
        try:
            replay = decoded(value, self._loader.loaded().template)
        except NanoChatError as error:
            return [str(error), *settings]
        return [replay, *setting_values(replay.conversation, replay.settings)]

    def _follow(self, replay: Replay | str | None, request: gr.Request) -> Generator[_Update, None, None]:
        if replay is None:
            return
        with told_to_the_page():
            if isinstance(replay, str):
                raise LensError(replay)
            served = self._loader.loaded()
            if replay.checksum != served.checkpoint.checksum:
                gr.Info("This link was made with another model: its answer may be another one.")
            conversation = replay.conversation
            shown = bubbles_of(conversation)
            events = served.engine.stream(conversation, replay.settings, session=request.session_hash or "")
            with closing(paced(continued(events, conversation), urgent=is_first_token)) as states:
                for reply in states:
                    yield [*shown, *drawn(reply)], Conversation((*_asked(conversation), reply.message))


def address(request: gr.Request) -> str:
    """Return where the visitor sees this page."""
    headers = request.headers
    origin = headers.get("origin") or f"http://{headers.get('host', 'localhost')}"
    return str(origin).rstrip("/")


def setting_values(conversation: Conversation, settings: SamplingSettings) -> list[Any]:
    """Return a value for each of the page's controls, in their order."""
    system = next((message.text for message in conversation.messages if message.role == "system"), "")
    return [system if name == "system_prompt" else getattr(settings, name) for name in ABOUT]


def bubbles_of(conversation: Conversation) -> list[Bubble]:
    """Return the turns before the answer as bubbles."""
    bubbles: list[Bubble] = []
    for message in _asked(conversation):
        if message.role == "user":
            bubbles.append({"role": "user", "content": [{"type": "text", "text": message.text}]})
        elif message.role == "assistant":
            bubbles += drawn(Reply(asked_at=0.0, parts=parts_of(message)))
    return bubbles


def _asked(conversation: Conversation) -> tuple[Message, ...]:
    """Return the messages up to the question that is answered."""
    messages = conversation.messages
    return messages[:-1] if messages[-1].role == "assistant" else messages
