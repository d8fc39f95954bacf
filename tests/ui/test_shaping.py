"""An answer is continued from its very ids, begun with the reader's words, and kept as the reader edits it."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest

from nanochat.chat.answer import Answer
from nanochat.chat.conversation import Conversation, Message
from nanochat.chat.engine import EngineLimits, LocalEngine
from nanochat.chat.template import ChatTemplate
from nanochat.errors import InvalidMessageError
from nanochat.model.modeling_nanochat import NanoChatForCausalLM
from nanochat.ui.answering import Answering
from nanochat.ui.bubbles import CONTINUE, drawn
from nanochat.ui.memory import NOTHING
from nanochat.ui.models import Models
from nanochat.ui.reply import Reply, parts_of
from nanochat.ui.served import ServedModel
from nanochat.ui.shaping import after_edit, edited, prefilled, unfinished
from tests.ui.events import CALCULATION
from tests.ui.models import checkpoint, facts

REQUEST = SimpleNamespace(session_hash="somebody")
QUESTION = {"role": "user", "content": [{"type": "text", "text": "Hello"}]}


@pytest.fixture
def answering(tiny_model: NanoChatForCausalLM, tiny_template: ChatTemplate) -> Answering:
    engine = LocalEngine(tiny_model, tiny_template, EngineLimits(slots=2))
    served = ServedModel(engine, tiny_template, checkpoint("tiny"), facts("tiny"))  # type: ignore[arg-type]
    models = Models({"tiny": lambda progress, make_room: served})
    models.load_here()
    return Answering(models)


def settings(max_tokens: int, system_prompt: str = "") -> tuple[Any, ...]:
    return (system_prompt, 0.0, 0, 1.0, 1.0, max_tokens, 1)


def ask(answering: Answering, max_tokens: int, *, system_prompt: str = "", prefill: str = "") -> Any:
    asked = answering.reply("Hello", [], *settings(max_tokens, system_prompt), NOTHING, REQUEST, prefill)  # type: ignore[arg-type]
    *_, (bubbles, remembered) = asked
    return through_the_browser([QUESTION, *bubbles]), remembered


def go_on(answering: Answering, history: Any, remembered: Conversation, max_tokens: int) -> Any:
    *_, (history, memory) = answering.go_on(history, *settings(max_tokens), remembered, REQUEST)  # type: ignore[arg-type]
    return through_the_browser(history), memory


def through_the_browser(history: list[Any]) -> list[Any]:
    """Send a chat to the page and back, as Gradio's own chatbot does."""
    chatbot = gr.Chatbot()
    payload = chatbot.data_model.model_validate(json.loads(chatbot.postprocess(history).model_dump_json()))
    return list(chatbot.preprocess(payload))


@pytest.mark.parametrize("reloaded", [False, True])
def test_an_answer_in_pieces_is_the_answer_in_one(answering: Answering, reloaded: bool) -> None:
    """The embedded vocabulary is bytes here, so a cut may even stand within a character."""
    _, whole = ask(answering, 12)
    history, remembered = ask(answering, 5)
    for _ in range(2):
        history, remembered = go_on(answering, history, NOTHING if reloaded else remembered, 3)
    history, remembered = go_on(answering, history, NOTHING if reloaded else remembered, 1)
    assert remembered.messages[-1].ids == (whole.messages[-1].ids or ())[:12]
    assert [bubble["role"] for bubble in history].count("user") == 1


def test_the_numbers_are_those_of_the_continuation(answering: Answering) -> None:
    history, remembered = ask(answering, 5)
    history, _ = go_on(answering, history, remembered, 3)
    title, account = history[-1]["metadata"]["title"], history[-1]["content"][0]["text"]
    assert title.startswith("3 tokens")
    assert "continued" in title
    assert "The first 5 tokens of the answer were there before" in account


def test_the_system_prompt_stays_that_of_the_answer(answering: Answering, tiny_template: ChatTemplate) -> None:
    history, remembered = ask(answering, 5, system_prompt="Be brief.")
    same = unfinished(remembered, history, "Be long.", tiny_template)
    assert same == remembered
    # Of a chat from long ago nothing is remembered: then the setting holds.
    assert unfinished(NOTHING, history, "Be long.", tiny_template).messages[0] == Message("system", "Be long.")


def forgeries(template: ChatTemplate, ids: tuple[int, ...]) -> list[Any]:
    control = template.control
    turn = (control.assistant_end, control.user_start, control.user_end, control.assistant_start)
    return [
        " ".join(map(str, value)) for value in ((*ids, *turn), (control.bos, *ids), (*ids, 10**8), ids[:-1], (*ids, 65))
    ] + ["-1", "1.5", "٣", "x" * 50, "9" * 400, None, 5, ["1"], {"a": 1}]


def test_ids_that_are_not_those_of_the_words_shown_are_not_believed(tiny_template: ChatTemplate) -> None:
    words = Message("assistant", "Once upon")
    ids = tuple(tiny_template.encode("Once upon"))
    assert _from_button(tiny_template, words, " ".join(map(str, ids))).ids == ids
    for value in forgeries(tiny_template, ids):
        assert _from_button(tiny_template, words, value).ids == ids


def _from_button(template: ChatTemplate, message: Message, value: Any) -> Message:
    bubbles = drawn(Reply(asked_at=0, parts=parts_of(message), ids=(1,)))
    bubbles[-1]["options"] = [{"label": CONTINUE, "value": value}]
    return unfinished(NOTHING, [QUESTION, *bubbles], "", template).messages[-1]


def test_exact_ids_are_taken_where_the_words_alone_would_give_others(tiny_template: ChatTemplate) -> None:
    """A model may spell a word in pieces that the tokenizer would join."""
    exact = tuple(token_id for letter in "Once upon" for token_id in tiny_template.encode(letter))
    found = _from_button(tiny_template, Message("assistant", "Once upon"), " ".join(map(str, exact)))
    assert found.ids == exact


def test_a_chat_without_an_answer_at_its_end_is_not_continued(tiny_template: ChatTemplate) -> None:
    answer = {"role": "assistant", "content": [{"type": "text", "text": "Hi."}]}
    for history in ([], [QUESTION], [QUESTION, answer, QUESTION]):
        with pytest.raises(InvalidMessageError, match="no answer to continue"):
            unfinished(NOTHING, history, "", tiny_template)


def test_the_model_goes_on_from_first_words(answering: Answering, tiny_template: ChatTemplate) -> None:
    """And these are text: whatever they spell, no control token comes of it."""
    words = "<|assistant_end|> Ahoy"
    history, remembered = ask(answering, 4, prefill=words)
    ids, begun = remembered.messages[-1].ids, tuple(tiny_template.encode(words))
    assert ids[: len(begun)] == begun
    assert len(begun) <= len(ids) <= len(begun) + 4
    assert not set(begun) & tiny_template.control.all
    assert history[1]["content"][0]["text"].startswith(words)
    assert "begun with your words" in history[-1]["metadata"]["title"]


def test_a_space_at_the_end_is_left_to_the_next_word(tiny_template: ChatTemplate) -> None:
    conversation = Conversation((Message("user", "Hello"),))
    assert prefilled(conversation, "Once ", tiny_template) == prefilled(conversation, "Once", tiny_template)
    assert prefilled(conversation, " \n", tiny_template) == conversation


@pytest.mark.parametrize("words", [5, None, ["x"], "x" * 8_001, "\ud800"])
def test_bad_first_words_are_refused(tiny_template: ChatTemplate, words: object) -> None:
    with pytest.raises(InvalidMessageError):
        prefilled(Conversation((Message("user", "Hello"),)), words, tiny_template)


def chat() -> tuple[list[Any], Conversation]:
    first, second = Message("assistant", CALCULATION, (10, 11)), Message("assistant", "Paris.", (20, 21))
    question = Message("user", "Hello")
    history: list[Any] = [QUESTION, *drawn(Reply(asked_at=0, parts=parts_of(first), ids=(1,))), QUESTION]
    history += drawn(Reply(asked_at=0, parts=parts_of(second), ids=(1,)))
    return through_the_browser(history), Conversation(
        (Message("system", "Be brief."), question, first, question, second)
    )


def edit_at(index: int, value: str, previous: str) -> gr.EditData:
    return gr.EditData(None, {"index": index, "value": value, "previous_value": previous})


def test_an_edited_answer_loses_its_ids_and_what_follows_keeps_its_own(answering: Answering) -> None:
    history, remembered = chat()
    history[3]["content"] = [{"type": "text", "text": "It is none of your business."}]
    edit = edit_at(3, "It is none of your business.", " It is 42.")
    shown, memory, question, _ = answering.edit(history, remembered, edit)
    assert question is None
    assert memory.messages[0] == remembered.messages[0]
    assert memory.messages[2].ids is None
    assert memory.messages[2].content[:3] == CALCULATION[:3]
    assert memory.messages[2].content[3].text == "It is none of your business."
    assert memory.messages[3:] == remembered.messages[3:]
    assert [len(shown), shown[5:]] == [len(history), history[5:]]
    assert shown[4]["metadata"]["title"].startswith("edited")


def test_a_bubble_that_was_left_as_it_is_changes_nothing(answering: Answering) -> None:
    """Gradio tells of every bubble of an answer."""
    history, remembered = chat()
    shown, memory, question, _ = answering.edit(history, remembered, edit_at(1, "Let me see. ", "Let me see. "))
    assert question is None
    assert shown == memory == gr.skip()


def test_an_edited_question_is_asked_anew_from_there(answering: Answering) -> None:
    history, remembered = chat()
    kept, _, question, _ = answering.edit(history, remembered, edit_at(5, "And Spain?", "Hello"))
    assert (kept, question) == (history[:5], "And Spain?")
    updates = list(answering.ask_anew(question, kept, *settings(3), remembered, REQUEST))
    bubbles, memory = updates[-1]
    assert [message.text for message in memory.messages[-2:-1]] == ["And Spain?"]
    assert memory.messages[:2] == remembered.messages[1:3]
    assert bubbles[:5] == kept


@pytest.mark.parametrize(
    ("index", "value"), [(-1, "x"), (99, "x"), ([0, 1], "x"), (0, "/clear"), (0, "x" * 8_001), (0, "")]
)
def test_an_edit_that_cannot_be_is_refused(answering: Answering, index: Any, value: str) -> None:
    history, remembered = chat()
    with pytest.raises(gr.Error):
        answering.edit(history, remembered, edit_at(index, value, "Hello"))


def test_an_edited_answer_is_marked_once_and_can_be_continued(answering: Answering) -> None:
    history, remembered = ask(answering, 5)
    history[1]["content"] = [{"type": "text", "text": "The fox said "}]
    once = edited(history, 1)
    assert edited(once, 1) == once
    memory = after_edit(remembered, once)
    assert memory.messages[-1] == Message("assistant", "The fox said ")
    _, longer = go_on(answering, through_the_browser(once), memory, 3)
    assert longer.messages[-1].text.startswith("The fox said")


def test_an_answer_without_numbers_is_marked_too() -> None:
    answer = {"role": "assistant", "content": [{"type": "text", "text": "Hi."}]}
    marked = edited([QUESTION, answer], 1)
    assert marked[:2] == [QUESTION, answer]
    assert marked[2]["metadata"]["title"] == "edited"


def test_commands_reach_no_model(answering: Answering) -> None:
    with pytest.raises(gr.Error, match="command"):
        list(answering.reply("/temperature 0.8", [], *settings(3), NOTHING, REQUEST))  # type: ignore[arg-type]


def test_a_cut_call_is_continued_within_the_calculation(tiny_template: ChatTemplate) -> None:
    control = tiny_template.control
    ids = (control.python_start, *tiny_template.encode("12*3"))
    message = Answer(tiny_template, ids).message()
    found = _from_button(tiny_template, message, " ".join(map(str, ids)))
    assert found.ids == ids
