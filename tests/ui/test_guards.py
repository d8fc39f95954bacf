"""Doors that Gradio leaves open."""

from __future__ import annotations

from pathlib import Path

import gradio as gr
import pytest
from gradio.components.chatbot import ChatbotDataMessages

import nanochat.ui
from nanochat.errors import BusyError
from nanochat.ui.guards import (
    EmptyNumber,
    GuardedBlocks,
    SettingSlider,
    TextChatbot,
    told_to_the_caller,
    told_to_the_page,
)
from tests.ui.awaiting import built, run

FOREIGN = [
    {"path": "/etc/passwd"},
    {"type": "file", "file": {"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}},
    {"type": "component", "component": "html", "value": "x", "constructor_args": {}, "props": {}},
    5,
    None,
]


@pytest.mark.parametrize("content", FOREIGN)
def test_nothing_but_text_is_shown(content: object) -> None:
    """A saved chat could otherwise name a file of the server, and Gradio would serve it."""
    for value in (content, [content], [{"type": "text", "text": "x"}, content]):
        with pytest.raises(gr.Error, match="text only"):
            TextChatbot(render=False).postprocess([{"role": "user", "content": value}])


@pytest.mark.parametrize("content", FOREIGN[1:3])
def test_nothing_but_text_comes_in(content: dict[str, object]) -> None:
    payload = ChatbotDataMessages.model_validate([{"role": "user", "content": [content]}])
    with pytest.raises(gr.Error, match="text only"):
        TextChatbot(render=False).preprocess(payload)


def test_indentation_of_a_question_is_kept() -> None:
    """Gradio runs inspect.cleandoc over every plain string, and the question would no longer be the one remembered."""
    chatbot = TextChatbot(render=False)
    text = "    indented\n        more"
    shown = chatbot.postprocess([{"role": "user", "content": text}])
    assert chatbot.preprocess(shown)[0]["content"] == [{"type": "text", "text": text}]


def test_components_of_our_own_are_drawn_as_gradio_draws_theirs() -> None:
    assert TextChatbot(render=False).get_block_name() == "chatbot"
    assert SettingSlider(0, 1, render=False).get_block_name() == "slider"
    assert EmptyNumber(render=False).get_block_name() == "number"


@pytest.mark.parametrize(("drawn", "read"), [(None, None), (0, 0), (7, 7), (2**32 - 1, 2**32 - 1)])
def test_a_number_that_is_left_out_reaches_the_browser_as_something_it_keeps(drawn: int | None, read: int) -> None:
    """Gradio's field turns nothing into 0 when it is first shown."""
    field = EmptyNumber(drawn, render=False)
    assert field.value is not None
    assert field.preprocess(field.value) == read
    assert field.preprocess(None) is None


def test_importing_the_page_writes_no_files() -> None:
    """Gradio writes a stub beside each module that makes a component class."""
    assert not list(Path(nanochat.ui.__file__).parent.glob("*.pyi"))


def test_an_error_on_the_page_is_escaped_and_in_the_api_it_is_not() -> None:
    """Gradio renders the text of an error as HTML."""
    words = "at most <b>8</b> & no more"
    with pytest.raises(gr.Error) as shown, told_to_the_page():
        raise BusyError(words)
    assert shown.value.message == "at most &lt;b&gt;8&lt;/b&gt; &amp; no more"
    with pytest.raises(gr.Error) as told, told_to_the_caller():
        raise BusyError(words)
    assert told.value.message == words
    assert not shown.value.print_exception
    assert not told.value.print_exception


def test_an_error_that_is_not_ours_passes() -> None:
    with pytest.raises(ZeroDivisionError), told_to_the_page():
        _ = 1 / 0


def page_with_a_call() -> tuple[gr.Blocks, object]:
    return built(draw_page_with_a_call)


def draw_page_with_a_call() -> tuple[gr.Blocks, object]:
    with GuardedBlocks(analytics_enabled=False) as page:
        first, second, hidden = gr.Textbox(), gr.Slider(0, 9, 3), gr.State("kept")
        call = gr.on([], lambda *values: values, [first, hidden, second], [first], preprocess=False)
    return page, page.fns[call["id"]]


@pytest.mark.parametrize(
    ("given", "completed"),
    [
        ([], [None, None, 3]),
        (["a"], ["a", None, 3]),
        (["a", 5], ["a", None, 5]),
        (["a", "state is not the caller's", 5], ["a", "state is not the caller's", 5]),
    ],
)
def test_settings_that_are_left_out_get_their_defaults(given: list[object], completed: list[object]) -> None:
    """Gradio fills them in for its own clients; a call by curl would end in a traceback with the user's words."""
    page, call = page_with_a_call()
    page.validate_inputs(call, given)
    assert given == completed


def test_a_value_that_its_component_cannot_read_is_refused_in_one_sentence() -> None:
    async def read() -> object:
        with GuardedBlocks(analytics_enabled=False) as page:
            chatbot = TextChatbot()
            call = gr.on([], lambda value: None, chatbot, None)
        return await page.preprocess_data(page.fns[call["id"]], ["secret words"], None)

    with pytest.raises(gr.Error, match="form its endpoint takes") as refused:
        run(read)
    assert "secret words" not in str(refused.value)
    assert refused.value.__cause__ is None
