"""What the inspector draws of a real answer: sound HTML that says what the lens found, whatever the tokens spell."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
import torch

from nanochat import NanoChatForCausalLM
from nanochat.chat.answer import Answer
from nanochat.chat.conversation import Conversation, Message
from nanochat.chat.events import Token
from nanochat.chat.sampling import SamplingSettings
from nanochat.chat.template import ChatTemplate
from nanochat.errors import LensError
from nanochat.lens.capture import Trace
from nanochat.lens.look import Lens
from nanochat.lens.observed import Observation, ObservedEngine, answered
from nanochat.ui.inspector_attention import MOST_CELLS, head_html, pattern_html, strips_html
from nanochat.ui.inspector_branch import begun_branch
from nanochat.ui.inspector_layers import firings_html, lens_html
from nanochat.ui.inspector_tokens import marked
from nanochat.ui.inspector_views import (
    Selection,
    choices_view,
    is_edited_since,
    is_worth_drawing,
    panels,
    prompt_view,
    selection,
    tokens_view,
    whole,
)
from tests.chat.engines import asked, engine_of
from tests.model.test_current_architecture import make

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
    return selection(seen, str(len(seen.prompt_ids) + 2), seen.engine)


def test_each_token_is_a_button_that_tells_its_id_bytes_and_probability(
    seen: Observation, tiny_template: ChatTemplate
) -> None:
    page = Balanced(tokens_view(seen, tiny_template))
    buttons = page.buttons("token")
    assert [int(button["data-place"] or "") for button in buttons] == list(range(len(seen.prompt_ids), len(seen.ids)))
    for button, token in zip(buttons, seen.tokens, strict=True):
        label = button["title"] or ""
        assert f"id {token.id} · bytes {tiny_template.token_bytes(token.id).hex(' ') or 'none'}" in label
        probability = math.exp(token.logprob)
        level = next(name for least, name in ((0.9, "sure"), (0.5, "likely"), (0.2, "open"), (0.05, "unlikely"),
                                              (0, "surprising")) if probability >= least)  # fmt: skip
        assert level in (button["class"] or "")
    prompt = Balanced(prompt_view(seen, tiny_template))
    assert [button["data-place"] for button in prompt.buttons("token")] == [*map(str, range(len(seen.prompt_ids)))]
    for button, token_id in zip(prompt.buttons("given"), seen.prompt_ids, strict=True):
        assert f"id {token_id} · bytes" in (button["title"] or "")
    assert "<|user_start|>" in prompt.words
    assert "<|assistant_start|>" in prompt.words


def test_a_group_of_tokens_is_one_stop_for_the_tab_key_and_says_of_which_answer_it_is(
    seen: Observation, tiny_template: ChatTemplate
) -> None:
    for html in (tokens_view(seen, tiny_template), prompt_view(seen, tiny_template)):
        page = Balanced(html)
        assert [button["tabindex"] for button in page.buttons("token")].count("0") == 1
        assert {button["aria-pressed"] for button in page.buttons("token")} == {"false"}
        (toolbar,) = [attrs for _, attrs in page.elements if attrs.get("role") == "toolbar"]
        assert toolbar["data-answer"] == seen.name


def test_calculator_tokens_are_marked_as_forced(seen: Observation, tiny_template: ChatTemplate) -> None:
    token = seen.tokens[0]
    forced = replace(seen, tokens=(Token(token.id, token.text, token.logprob, token.top, forced=True),))
    page = Balanced(tokens_view(forced, tiny_template))
    (button,) = page.buttons("token")
    assert "forced" in (button["class"] or "")
    assert "calculator" in (button["title"] or "")
    assert "calculator" in page.words
    assert "calculator" not in Balanced(tokens_view(seen, tiny_template)).words


def test_the_oldest_of_very_many_tokens_are_counted_and_not_drawn(
    seen: Observation, tiny_template: ChatTemplate
) -> None:
    html = prompt_view(replace(seen, prompt_ids=seen.prompt_ids[:1] * 2_000), tiny_template)
    page = Balanced(html)
    assert [page.buttons("token")[place]["data-place"] for place in (0, -1)] == ["1000", "1999"]
    assert "2,000 tokens" in page.words
    assert "1,000 older tokens not shown" in page.words
    assert len(html) < 200_000


def test_no_placeholder_of_a_template_comes_out_of_a_text(seen: Observation, tiny_template: ChatTemplate) -> None:
    html = prompt_view(seen, tiny_template) + tokens_view(seen, tiny_template)
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
    assert "leave 1 candidate to" in cold
    assert "leave 5 candidates to" in hot


def test_candidates_without_captured_logits_are_computed_and_the_same(
    engine: ObservedEngine, selected: Selection, tiny_template: ChatTemplate, monkeypatch: pytest.MonkeyPatch
) -> None:
    captured = choices_view(selected, engine.lens, tiny_template)
    forgotten = replace(selected, seen=replace(selected.seen, trace=None))
    monkeypatch.setattr(Trace, "logits", None)
    assert choices_view(forgotten, engine.lens, tiny_template) == captured


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


def test_a_token_of_the_prompt_shows_what_the_model_would_have_said(
    engine: ObservedEngine, seen: Observation, tiny_template: ChatTemplate
) -> None:
    given = selection(seen, "3", seen.engine)
    page = Balanced(choices_view(given, engine.lens, tiny_template))
    best = int(engine.lens.look(seen.ids, 3).logits.argmax())
    rows = [attrs for tag, attrs in page.elements if tag == "tr" and "class" in attrs]
    assert "It was given" in page.words
    assert f"Token 3: {marked(tiny_template.token_name(seen.ids[3]))}" in page.words
    assert tiny_template.token_name(best).strip() in page.words
    assert rows
    assert not page.buttons("branch")


def test_only_an_answer_that_has_ended_can_be_branched_whoever_ended_it(
    engine: ObservedEngine, selected: Selection, tiny_template: ChatTemplate
) -> None:
    for ended, finished in ((False, False), (True, False), (True, True)):
        state = replace(selected, seen=replace(selected.seen, ended=ended, finished=finished))
        assert bool(Balanced(choices_view(state, engine.lens, tiny_template)).buttons("branch")) is ended


def test_a_click_is_answered_in_a_bounded_size_whatever_the_model_and_the_text() -> None:
    model = make(vocab_size=256, num_hidden_layers=20, num_attention_heads=10, num_key_value_heads=10, hidden_size=40,
                 intermediate_size=64, max_position_embeddings=2_048)  # fmt: skip
    look = Lens(model).look(tuple(place * 37 % 256 for place in range(2_000)), 1_999)
    # Cells that differ from their neighbours: no model is so unkind to whoever draws runs of equal ones.
    weights = torch.rand(20, 10, MOST_CELLS, generator=torch.Generator().manual_seed(1))
    names = ["<|output_start|>"] * 64
    html = strips_html(weights.tolist(), (0, 0)) + head_html(weights[0, 0].tolist(), names, 0, 0)
    html += pattern_html(torch.rand(64, 64, generator=torch.Generator().manual_seed(2)).tolist(), names)
    html += lens_html(look.lens, None, lambda _id: names[0]) + firings_html(look.firings, lambda _id: names[0])
    assert 100_000 < len(html) < 200_000


def test_a_map_has_a_stroke_where_a_head_looked_and_none_elsewhere() -> None:
    html = pattern_html([[1.0, 0, 0], [0.5, 0.5, 0], [0, 0.01, 0.99]], ["a", "b", "c"])
    assert '<path class="heat-3" d="M0 1h2"/><path class="heat-4" d="M0 0h1M2 2h1"/>' in html
    assert Balanced(html).words.endswith("ahead.abc")


def test_a_long_answer_is_drawn_anew_when_a_share_of_it_is_new(seen: Observation) -> None:
    growing = replace(seen, ended=False, finished=False, tokens=seen.tokens[:1] * 160)
    assert is_worth_drawing(growing, None)
    assert not is_worth_drawing(growing, growing)
    assert not is_worth_drawing(replace(growing, tokens=growing.tokens[:1] * 170), growing)
    assert is_worth_drawing(replace(growing, tokens=growing.tokens[:1] * 171), growing)
    assert is_worth_drawing(replace(growing, ended=True), growing)
    assert is_worth_drawing(replace(growing, number=growing.number + 1), growing)
    assert not is_worth_drawing(seen, seen)
    few = replace(growing, tokens=growing.tokens[:3])
    assert is_worth_drawing(replace(growing, tokens=growing.tokens[:4]), few)


@pytest.mark.parametrize("value", [None, "", "x", "-1", "1.5", "0", "9" * 9, "9" * 30, 3, "٣", ["1"]])
def test_a_click_on_what_is_not_there_is_refused_in_words(seen: Observation, value: object) -> None:
    with pytest.raises(LensError):
        selection(seen, value, seen.engine)
    with pytest.raises(LensError, match="ask something"):
        selection(None, "3", seen.engine)


def test_an_answer_of_another_model_is_not_looked_into(seen: Observation) -> None:
    with pytest.raises(LensError, match="another model"):
        selection(seen, str(len(seen.prompt_ids)), "another")


def test_a_number_of_a_button_is_read() -> None:
    assert whole("12") == 12


def test_a_branch_is_of_the_answer_that_the_chat_ends_in_and_of_no_other(
    seen: Observation, tiny_template: ChatTemplate
) -> None:
    conversation, _ = answered(seen, tiny_template)
    *asked_before, message = conversation.messages
    ids = message.ids or ()
    chosen = selection(seen, str(len(seen.prompt_ids) + 4), seen.engine)
    other = tiny_template.encode("fox")[0]
    begun = begun_branch(chosen, conversation, tiny_template, other)
    assert begun.messages[-1].ids == (*ids[:4], other)
    # A page that was stopped may have shown a little less than was made.
    stopped = Conversation((*asked_before, Answer(tiny_template, ids[:6]).message()))
    assert begun_branch(chosen, stopped, tiny_template, other) == begun
    changed = [
        Conversation(),
        Conversation((*asked_before, Message("assistant", message.text))),
        Conversation((*asked_before, Answer(tiny_template, [*ids[:-1], other]).message())),
        Conversation((*asked_before, Answer(tiny_template, ids[:3]).message())),
        Conversation((*asked_before, Answer(tiny_template, [*ids, other]).message())),
        Conversation((Message("user", "Something else?"), message)),
        Conversation((*conversation.messages, Message("user", "And?"), message)),
    ]
    for chat in changed:
        with pytest.raises(LensError, match="changed"):
            begun_branch(chosen, chat, tiny_template, other)
    with pytest.raises(LensError, match="prompt"):
        begun_branch(selection(seen, "3", seen.engine), conversation, tiny_template, other)
    with pytest.raises(LensError, match="Click"):
        begun_branch(None, conversation, tiny_template, other)


def test_words_that_were_edited_since_are_noticed(seen: Observation, tiny_template: ChatTemplate) -> None:
    conversation, _ = answered(seen, tiny_template)
    *before, message = conversation.messages
    edited = Conversation((*before, Message("assistant", "Something else.")))
    assert is_edited_since(seen, edited)
    assert is_edited_since(seen, Conversation((Message("user", "Who?"), message)))
    assert is_edited_since(seen, Conversation())
    assert not is_edited_since(seen, conversation)
    assert not is_edited_since(seen, Conversation(tuple(before)))
    assert not is_edited_since(seen, Conversation((*conversation.messages, Message("user", "And?"))))
    # While it is made, the page remembers what was there before.
    assert not is_edited_since(replace(seen, ended=False), edited)
