"""Links that give an answer again, and the same call for a program: copied by a button, followed when the page opens.

A link is the page's address with one parameter. Following it sets the settings and answers anew; on other weights the
answer may be another one, and the page says so.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import gradio as gr

from nanochat.chat.conversation import Conversation, Message
from nanochat.chat.sampling import SamplingSettings
from nanochat.errors import LensError
from nanochat.lens.replay import Replay, curl_call, decoded, encoded, python_call
from nanochat.ui.answering import Answering
from nanochat.ui.bubbles import Bubble, drawn
from nanochat.ui.chat_panel import ChatPanel
from nanochat.ui.controls import ABOUT, Controls
from nanochat.ui.guards import session_of, told_to_the_page
from nanochat.ui.inspector_views import observed
from nanochat.ui.models import Models
from nanochat.ui.reply import Reply, parts_of
from nanochat.ui.served import ServedModel
from nanochat.ui.settling import opened, stoppable

PARAMETER = "replay"

_QUIET: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
# A page that came over plain HTTP from another machine has no clipboard.
_COPY = """(text) => (navigator.clipboard ? navigator.clipboard.writeText(text) : Promise.reject()).then(
  () => "<p class=inside-note role=status>Copied.</p>",
  () => "<p class=inside-note role=status>The browser lets nothing be copied here: take it from the box.</p>")"""


class ReplayButtons:
    """Three buttons, drawn where the caller stands; `tie_up` connects them, and the links, with the chat."""

    def __init__(self, loader: Models[ServedModel]) -> None:
        self._loader = loader
        self._answering = Answering(loader)
        with gr.Row(elem_id="replay"):
            self.buttons = {what: gr.Button(f"Copy {what}", size="sm") for what in ("link", "Python", "curl")}
        self._said = gr.HTML(elem_id="replay-said", padding=False)
        self._copied = gr.Textbox(visible=False, interactive=False, max_lines=6, elem_id="replay-copied")
        self._followed: gr.State = gr.State(None)

    def tie_up(self, page: gr.Blocks, panel: ChatPanel, settings: Controls) -> None:
        """Connect the buttons and the links with the chat; call once, within the page."""
        makers: dict[str, Callable[[Replay, str], str]] = {"link": link, "Python": python_call, "curl": curl_call}
        for what, button in self.buttons.items():
            copied = button.click(self._maker(what, makers[what]), None, self._copied, **_QUIET)
            copied.success(None, self._copied, self._said, js=_COPY)
        chat = panel.interface
        page.load(_arrive, None, self._followed, **_QUIET)
        self._followed.change(stoppable, None, chat.textbox, **_QUIET)
        following = self._followed.change(
            self._follow,
            [self._followed, panel.remembered],
            [chat.chatbot, panel.remembered, *settings.inputs],
            show_progress="hidden",
            concurrency_limit=None,
            api_visibility="private",
        )
        chat.textbox.stop(None, cancels=[following], **_QUIET)
        panel.settle(following, following, opened)

    def _maker(self, what: str, make: Callable[[Replay, str], str]) -> Callable[[gr.Request], gr.Textbox]:
        # Gradio finds the request by its annotation, which a lambda has not.
        def made(request: gr.Request) -> gr.Textbox:
            with told_to_the_page():
                return gr.Textbox(make(self._latest(request), address(request)), label=what.capitalize(), visible=True)

        return made

    def _latest(self, request: gr.Request) -> Replay:
        """Return what led to the latest answer. Raises LensError where there is none."""
        served = self._loader.loaded(session_of(request))
        seen = observed(served).latest(session_of(request))
        if seen is None:
            raise LensError("There is no answer to give again: ask something first.")
        return Replay(seen.conversation, seen.settings, served.checkpoint.checksum)

    def _follow(
        self, value: str | None, remembered: Conversation, request: gr.Request
    ) -> Generator[list[Any], None, None]:
        """Answer a link anew, under its settings."""
        unchanged = [gr.skip()] * len(ABOUT)
        if not value:
            # A generator that yields nothing would empty what it draws.
            yield [gr.skip(), gr.skip(), *unchanged]
            return
        with told_to_the_page():
            model = self._loader.chosen(session_of(request))
            # Whoever follows a link wakes a Space: the answer comes when the model is there.
            while not self._loader.wait(0.1, name=model):
                yield [[], remembered, *unchanged]
            served = self._loader.loaded(name=model)
            replay = decoded(value, served.template)
            if replay.checksum != served.checkpoint.checksum:
                gr.Info("This link was made with another model: its answer may be another one.")
            conversation = replay.conversation
            shown = bubbles_of(conversation)
            yield [shown, remembered, *setting_values(conversation, replay.settings)]
            for reply, memory in self._answering.answers(model, conversation, replay.settings, remembered, request):
                yield [[*shown, *drawn(reply)], memory, *unchanged]


def link(replay: Replay, address: str) -> str:
    """Return the address of the page that gives an answer again. Raises LensError for a chat that is too long."""
    return f"{address}/?{PARAMETER}={encoded(replay)}"


def _arrive(request: gr.Request) -> str | None:
    """Return the link a visitor came by; what is wrong with it is told later, in an event that may show notices."""
    value = request.query_params.get(PARAMETER)
    return value if isinstance(value, str) and value else None


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
