"""What the inspector draws of a real answer: sound HTML that says what the lens found, whatever the tokens spell."""

from __future__ import annotations

import math
import re
from html.parser import HTMLParser

import pytest

from nanochat import NanoChatForCausalLM
from nanochat.chat.conversation import Conversation
from nanochat.chat.events import Token
from nanochat.chat.sampling import SamplingSettings
from nanochat.chat.template import ChatTemplate
from nanochat.errors import LensError
from nanochat.lens.observed import Observation, ObservedEngine
from nanochat.ui.inspector_views import Selection, choices_view, continued, panels, selection, tokens_view, whole
from tests.chat.engines import asked, done, engine_of

SETTINGS = SamplingSettings(temperature=0.8, top_k=5, max_tokens=10, seed=5)
_VOID = {"br", "rect", "polyline", "polygon", "circle"}


class Balanced(HTMLParser):
    """Reads HTML strictly: each element closed in its place; collects elements and text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.feed(html)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data

    def buttons(self, style: str) -> list[dict[str, str | None]]:
        return [attrs for tag, attrs in self.elements if tag == "button" and style in (attrs["class"] or "").split()]


@pytest.fixture(scope="module")
def engine(tiny_model: NanoChatForCausalLM, tiny_template: ChatTemplate) -> ObservedEngine:
    return ObservedEngine(engine_of(tiny_model, tiny_template), tiny_model)


@pytest.fixture(scope="module")
def seen(engine: ObservedEngine) -> Observation:
    list(engine.stream(asked("Why <b>{{this}}</b> ${that}?"), SETTINGS, session="ann"))
    latest = engine.latest("ann")
    assert latest is not None
    return latest


@pytest.fixture(scope="module")
def selected(seen: Observation) -> Selection:
    return selection(seen, str(len(seen.prompt_ids) + 2))


def test_each_token_of_the_answer_is_a_button_that_tells_its_id_bytes_and_probability(
    seen: Observation, tiny_template: ChatTemplate
) -> None:
    page = Balanced(tokens_view(seen, tiny_template, None))
    buttons = page.buttons("token")
    assert [int(button["data-place"] or "") for button in buttons] == list(range(len(seen.prompt_ids), len(seen.ids)))
    for button, token in zip(buttons, seen.tokens, strict=True):
        label = button["aria-label"] or ""
        assert f"id {token.id} · bytes {tiny_template.token_bytes(token.id).hex(' ') or 'none'}" in label
        probability = math.exp(token.logprob)
        level = next(name for least, name in ((0.9, "sure"), (0.5, "likely"), (0.2, "open"), (0.05, "unlikely"),
                                              (0, "surprising")) if probability >= least)  # fmt: skip
        assert level in (button["class"] or "")
    assert "<|user_start|>" in page.words
    assert "<|assistant_start|>" in page.words


def test_a_group_of_tokens_is_one_stop_for_the_tab_key_and_the_selected_one_says_so(
    selected: Selection, tiny_template: ChatTemplate
) -> None:
    for position, stop in ((None, len(selected.seen.prompt_ids)), (selected.position, selected.position)):
        buttons = Balanced(tokens_view(selected.seen, tiny_template, position)).buttons("token")
        assert [int(button["data-place"] or "") for button in buttons if button["tabindex"] == "0"] == [stop]
        pressed = [int(button["data-place"] or "") for button in buttons if button["aria-pressed"] == "true"]
        assert pressed == ([] if position is None else [position])


def test_calculator_tokens_are_marked_as_forced(seen: Observation, tiny_template: ChatTemplate) -> None:
    token = seen.tokens[0]
    forced = Token(token.id, token.text, token.logprob, token.top, forced=True)
    changed = Observation(seen.conversation, seen.settings, seen.trace, seen.prompt_ids, (forced,))
    (button,) = Balanced(tokens_view(changed, tiny_template, None)).buttons("token")
    assert "forced" in (button["class"] or "")
    assert "calculator" in (button["aria-label"] or "")


def test_no_placeholder_of_a_template_comes_out_of_a_text(seen: Observation, tiny_template: ChatTemplate) -> None:
    html = tokens_view(seen, tiny_template, None)
    assert "{" not in html
    assert "${" not in html
    assert "<b>" not in html


def test_the_candidates_are_the_engines_own_and_the_settings_cut_is_shown(
    engine: ObservedEngine, selected: Selection, tiny_template: ChatTemplate
) -> None:
    page = Balanced(choices_view(selected, engine.lens, tiny_template))
    token = selected.seen.tokens[selected.place]
    branches = [int(button["data-id"] or "") for button in page.buttons("branch")]
    assert branches[:5] == [candidate.id for candidate in token.top]
    assert token.id in branches
    rows = [(attrs["class"] or "").split() for tag, attrs in page.elements if tag == "tr" and "class" in attrs]
    assert sum("excluded" not in row for row in rows) == 5
    assert sum("chosen" in row for row in rows) == 1


def test_another_temperature_redraws_without_the_model(
    selected: Selection, tiny_template: ChatTemplate, monkeypatch: pytest.MonkeyPatch, engine: ObservedEngine
) -> None:
    monkeypatch.setattr(engine.lens, "look", None)
    cold, hot = (choices_view(selected, engine.lens, tiny_template, temperature) for temperature in (0.0, 2.0))
    assert "leave 1 candidate." in cold
    assert "leave 5 candidates." in hot


def test_candidates_without_captured_logits_are_computed_and_the_same(
    engine: ObservedEngine, selected: Selection, tiny_template: ChatTemplate, monkeypatch: pytest.MonkeyPatch
) -> None:
    captured = choices_view(selected, engine.lens, tiny_template)
    monkeypatch.setattr(type(selected.seen.trace), "logits", lambda self, place: None)
    assert choices_view(selected, engine.lens, tiny_template) == captured


def test_every_panel_is_sound_and_names_every_layer_and_head(
    engine: ObservedEngine, selected: Selection, tiny_template: ChatTemplate
) -> None:
    views = panels(selected, engine.lens, tiny_template)
    for html in (views.layers, views.attention, views.neurons, views.sums):
        Balanced(html)
    strips = Balanced(views.attention).buttons("strip")
    assert [(strip["data-layer"], strip["data-head"]) for strip in strips] == [
        (str(layer), str(head)) for layer in range(2) for head in range(4)
    ]
    assert len(re.findall("<tr", views.layers)) == 1 + 3
    assert "tanh" in views.sums


@pytest.mark.parametrize("value", [None, "", "x", "-1", "1.5", "0", "9" * 30, 3, "٣", ["1"]])
def test_a_click_on_what_is_not_there_is_refused_in_words(seen: Observation, value: object) -> None:
    with pytest.raises(LensError):
        selection(seen, value)
    with pytest.raises(LensError):
        selection(None, "3")


def test_a_number_of_a_button_is_read() -> None:
    assert whole("12") == 12


def test_a_continued_reply_begins_with_what_was_there(
    engine: ObservedEngine, seen: Observation, tiny_template: ChatTemplate
) -> None:
    from nanochat.ui.inspector import begun_branch

    message = done(engine.stream(seen.conversation, seen.settings)).message
    remembered = Conversation((*seen.conversation.messages, message))
    chosen = selection(seen, str(len(seen.prompt_ids) + 4))
    other = tiny_template.encode("fox")[0]
    begun = begun_branch(chosen, remembered, tiny_template, other)
    states = list(continued(engine.stream(begun, SETTINGS), begun))
    expected = [*(message.ids or ())[:4], other]
    assert all(list(state.message.ids or ())[:5] == expected for state in states)
    assert states[-1].done is not None
    assert states[-1].message == states[-1].done.message
    edited = Conversation(seen.conversation.messages).append(type(message)("assistant", "Something else."))
    with pytest.raises(LensError, match="changed"):
        begun_branch(chosen, edited, tiny_template, other)
