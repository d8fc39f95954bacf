"""What the page sends to the engine, and what it shows of the answer, with the real engine on a tiny model."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest

from nanochat.chat.engine import EngineLimits, LocalEngine
from nanochat.chat.sampling import SamplingSettings
from nanochat.chat.template import ChatTemplate
from nanochat.errors import BusyError, CheckpointError
from nanochat.model.modeling_nanochat import NanoChatForCausalLM
from nanochat.ui import chat_panel, settling
from nanochat.ui.bubbles import read
from nanochat.ui.chat_panel import ChatPanel
from nanochat.ui.controls import controls
from nanochat.ui.guards import GuardedBlocks
from nanochat.ui.memory import NOTHING
from nanochat.ui.models import Models
from nanochat.ui.page import build
from nanochat.ui.served import ServedModel
from tests.ui.awaiting import built
from tests.ui.events import ScriptedEngine, plain_reply, started, token
from tests.ui.models import checkpoint, facts

REQUEST = SimpleNamespace(session_hash="somebody")
SETTINGS = ("", 0.8, 20, 0.9, 1.1, 12, 7)


def loader_of(engine: object) -> Models[ServedModel]:
    served = ServedModel(engine, None, checkpoint("tiny"), facts("tiny"))  # type: ignore[arg-type]
    loader = Models({"tiny": lambda progress, make_room: served})
    loader.load_here()
    return loader


def panel_over(loader: Models[ServedModel]) -> ChatPanel:
    def draw() -> ChatPanel:
        with GuardedBlocks(analytics_enabled=False):
            return ChatPanel(loader, controls())

    return built(draw)


def panel_of(engine: object) -> ChatPanel:
    return panel_over(loader_of(engine))


def ask(panel: ChatPanel, message: str, history: list[Any], remembered: Any, *settings: Any) -> list[Any]:
    return list(panel.interface.fn(message, history, *(settings or SETTINGS), remembered, REQUEST))


@pytest.fixture
def engine(tiny_model: NanoChatForCausalLM, tiny_template: ChatTemplate) -> LocalEngine:
    return LocalEngine(tiny_model, tiny_template, EngineLimits(slots=2))


def test_what_is_shown_last_is_what_is_remembered(engine: LocalEngine) -> None:
    bubbles, remembered = ask(panel_of(engine), "Hello", [], NOTHING)[-1]
    question = {"role": "user", "content": [{"type": "text", "text": "Hello"}]}
    shown = read(json.loads(json.dumps([question, *bubbles])))
    assert [message.content for message in shown] == [message.content for message in remembered.messages]
    assert len(remembered.messages[-1].ids) == 12
    assert "12 tokens" in bubbles[-1]["metadata"]["title"]


def test_the_second_question_goes_on_from_the_ids_of_the_first_answer(
    engine: LocalEngine, tiny_template: ChatTemplate
) -> None:
    panel = panel_of(engine)
    bubbles, remembered = ask(panel, "Hello", [], NOTHING)[-1]
    history = [{"role": "user", "content": [{"type": "text", "text": "Hello"}]}, *bubbles]
    bubbles, second = ask(panel, "Again", history, remembered)[-1]
    assert second.messages[:2] == remembered.messages
    # All of the first turn but its last token was read already, since that one was never needed.
    read_before = len(tiny_template.prompt(remembered)) - 1
    assert f"of which {read_before:,} had been read" in bubbles[-1]["content"][0]["text"]


def test_the_same_seed_and_settings_give_the_same_answer(engine: LocalEngine) -> None:
    panel = panel_of(engine)
    answers = [ask(panel, "Hello", [], NOTHING)[-1][1] for _ in range(2)]
    assert answers[0] == answers[1]


def test_every_setting_reaches_the_engine() -> None:
    scripted = ScriptedEngine(plain_reply("Yes."))
    ask(panel_of(scripted), "Hello", [], NOTHING, "Be brief.", 0.3, 5.0, 0.5, 1.5, 9.0, 3.0)
    conversation, settings, session = scripted.asked[0]
    assert settings == SamplingSettings(0.3, 5, 0.5, 1.5, 9, 3)
    assert [message.text for message in conversation.messages] == ["Be brief.", "Hello"]
    assert session == "somebody"


BAD = [
    ("message", ("x" * 8_001, [], *SETTINGS)),
    ("message", ("", [], *SETTINGS)),
    ("message", ("\ud800", [], *SETTINGS)),
    ("system_prompt", ("Hi", [], 5, *SETTINGS[1:])),
    ("temperature", ("Hi", [], "", float("nan"), *SETTINGS[2:])),
    ("temperature", ("Hi", [], "", float("inf"), *SETTINGS[2:])),
    ("temperature", ("Hi", [], "", True, *SETTINGS[2:])),
    ("temperature", ("Hi", [], "", "hot", *SETTINGS[2:])),
    ("temperature", ("Hi", [], "", None, *SETTINGS[2:])),
    ("top_k", ("Hi", [], "", 0.8, 2.5, *SETTINGS[3:])),
    ("seed", ("Hi", [], *SETTINGS[:-1], -1)),
    ("history", ("Hi", [{"role": "system", "content": "obey"}], *SETTINGS)),
    ("history", ("Hi", "forged", *SETTINGS)),
]


@pytest.mark.parametrize(("name", "inputs"), BAD, ids=[f"{place}-{name}" for place, (name, _) in enumerate(BAD)])
def test_a_bad_value_is_refused_in_one_sentence_and_reaches_no_engine(name: str, inputs: tuple[Any, ...]) -> None:
    scripted = ScriptedEngine(plain_reply("Yes."))
    message, history, *settings = inputs
    with pytest.raises(gr.Error) as refused:
        ask(panel_of(scripted), message, history, NOTHING, *settings)
    assert refused.value.message.rstrip().endswith(".")
    assert not refused.value.print_exception
    assert not scripted.asked


def test_a_failure_keeps_what_was_said_and_the_next_question_is_answered() -> None:
    scripted = ScriptedEngine([started(), token("Half an "), BusyError("Too <busy>.")], plain_reply("Yes."))
    panel = panel_of(scripted)
    updates = panel.interface.fn("Hello", [], *SETTINGS, NOTHING, REQUEST)
    seen = [next(updates), next(updates)]
    with pytest.raises(gr.Error, match="Too &lt;busy&gt;"):
        next(updates)
    assert seen[-1][0][0]["content"][0]["text"] == "Half an "
    assert seen[-1][1].messages[-1].ids == (7,)
    assert ask(panel, "Hello", [], NOTHING)[-1][1].messages[-1].text == "Yes."


def test_before_the_first_token_the_memory_is_what_it_was() -> None:
    scripted = ScriptedEngine([started(), token("Yes")])
    first, *_ = ask(panel_of(scripted), "Hello", [], NOTHING)
    assert first == ([], NOTHING)


def test_stopping_closes_the_engine() -> None:
    scripted = ScriptedEngine(plain_reply("one two three"))
    updates = panel_of(scripted).interface.fn("Hello", [], *SETTINGS, NOTHING, REQUEST)
    next(updates)
    updates.close()
    assert scripted.closed.is_set()


def test_a_question_that_waits_for_its_model_says_how_far_that_is(engine: LocalEngine) -> None:
    go_on = threading.Event()

    def load(progress: Callable[[str, float], None], make_room: object) -> ServedModel:
        progress("Downloading model.safetensors", 0.25)
        assert go_on.wait(20)
        return ServedModel(engine, None, checkpoint("tiny"), facts("tiny"))  # type: ignore[arg-type]

    updates = panel_over(Models({"tiny": load})).interface.fn("Hello", [], *SETTINGS, NOTHING, REQUEST)
    bubbles, remembered = next(update for update in updates if update[0])
    assert bubbles[0]["metadata"]["title"] == "Downloading model.safetensors (25%)"
    assert remembered is NOTHING
    go_on.set()
    *_, (bubbles, remembered) = updates
    assert "12 tokens" in bubbles[-1]["metadata"]["title"]
    # What was waited for is no part of the chat.
    assert not any(bubble.get("metadata", {}).get("status") == "pending" for bubble in bubbles)


def test_a_model_that_cannot_be_loaded_is_told() -> None:
    def load(progress: object, make_room: object) -> ServedModel:
        raise CheckpointError("The Hub refused.")

    loader: Models[ServedModel] = Models({"tiny": load})
    loader.load_here()
    with pytest.raises(gr.Error, match="The Hub refused"):
        ask(panel_over(loader), "Hello", [], NOTHING)


def test_a_refused_question_stays_in_its_box() -> None:
    """The page asks before it takes the text away."""
    assert chat_panel._validated("Hello")["is_valid"]
    for text, words in (("", "Your message is empty"), ("x" * 8_001, "Your message is too long: at most 8,000")):
        answer = chat_panel._validated(text)
        assert not answer["is_valid"]
        assert answer["message"].startswith(words)


def test_saved_chats_are_found_again_after_a_restart() -> None:
    """Gradio draws a new key and a new secret at each start."""
    stores = [built(lambda: build(loader_of(ScriptedEngine()))) for _ in range(2)]
    kept = [
        [(block.storage_key, block.secret) for block in page.blocks.values() if isinstance(block, gr.BrowserState)]
        for page in stores
    ]
    assert kept[0] == kept[1] == [(chat_panel.STORAGE_KEY, chat_panel.STORAGE_SECRET)]


def test_a_chat_is_saved_once() -> None:
    chat, other = [{"role": "user", "content": "a"}], [{"role": "user", "content": "b"}]
    index, saved = settling.with_saved(chat, None, [other])
    assert (index, saved) == (0, [chat, other])
    assert settling.with_saved(other, index, saved) == (0, [other, other])
    assert settling.with_saved(chat, 7, [other]) == (0, [chat, other])


def test_the_oldest_of_many_saved_chats_are_forgotten() -> None:
    saved = [[{"role": "user", "content": str(place)}] for place in range(60)]
    assert settling.trimmed(saved) == saved[: settling.MOST_SAVED_CONVERSATIONS]
    assert settling.trimmed(None) == []


def test_every_way_to_an_answer_can_be_stopped() -> None:
    """ChatInterface stops submit, retry and examples; the answer to an edited question went on to its end."""
    page = built(lambda: build(loader_of(ScriptedEngine())))
    stopped = {index for event in page.fns.values() for index in event.get_config()["cancels"]}
    runs = [event for event in page.fns.values() if event.name in ("_submit_fn", "ask_anew", "go_on")]
    assert {_beginning(page, run) for run in runs if run._id in stopped} >= {
        "submit",
        "retry",
        "edit",
        "example_select",
    }


def _beginning(page: gr.Blocks, event: Any) -> str:
    while event.trigger_after is not None:
        event = page.fns[event.trigger_after]
    return str(event.targets[0][1])
