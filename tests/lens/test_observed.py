"""An observed answer is the same answer, and what is remembered of it is what its reader got."""

from __future__ import annotations

import gc

import pytest

from nanochat import NanoChatForCausalLM
from nanochat.chat.conversation import Message
from nanochat.chat.events import Done, Started, Token
from nanochat.chat.sampling import SamplingSettings
from nanochat.chat.template import ChatTemplate
from nanochat.lens.capture import Shelf
from nanochat.lens.observed import ObservedEngine, answered
from tests.chat.engines import asked, done, engine_of, tokens

SETTINGS = SamplingSettings(temperature=1.0, max_tokens=12, seed=5)


def test_an_observed_answer_is_the_engines_and_is_remembered_whole(
    tiny_model: NanoChatForCausalLM, tiny_template: ChatTemplate
) -> None:
    plain = done(engine_of(tiny_model, tiny_template).stream(asked("Why?"), SETTINGS))
    engine = ObservedEngine(engine_of(tiny_model, tiny_template), tiny_model)
    events = list(engine.stream(asked("Why?"), SETTINGS, session="ann"))
    assert done(events).message == plain.message
    seen = engine.latest("ann")
    assert seen is not None
    assert seen.finished
    assert seen.ended
    assert seen.tokens == tuple(tokens(events))
    assert seen.ids == (*tiny_template.prompt(asked("Why?")), *(plain.message.ids or ()))
    for place, token in enumerate(seen.tokens):
        logits = seen.logits(place)
        assert logits is not None
        assert float(logits.log_softmax(dim=-1)[token.id]) == pytest.approx(token.logprob, abs=1e-5)
    assert answered(seen, tiny_template) == (asked("Why?").append(plain.message), 0)
    assert engine.latest("bob") is None


def test_a_drawn_seed_is_remembered_so_that_the_answer_can_be_replayed(
    tiny_model: NanoChatForCausalLM, tiny_template: ChatTemplate
) -> None:
    engine = ObservedEngine(engine_of(tiny_model, tiny_template), tiny_model)
    first = done(engine.stream(asked("Why?"), SamplingSettings(max_tokens=8), session="ann"))
    seen = engine.latest("ann")
    assert seen is not None
    assert seen.settings.seed == first.seed
    assert done(engine.stream(seen.conversation, seen.settings)).message == first.message


def test_while_it_is_made_and_after_it_was_stopped_an_answer_is_what_its_reader_has(
    tiny_model: NanoChatForCausalLM, tiny_template: ChatTemplate
) -> None:
    engine = ObservedEngine(engine_of(tiny_model, tiny_template), tiny_model)
    stream = engine.stream(asked("Why?"), SETTINGS, session="ann")
    got: list[Token] = []
    for event in stream:
        got += [event] if isinstance(event, Token) else []
        seen = engine.latest("ann")
        if seen is not None or isinstance(event, Started | Token):
            assert seen is not None
            assert seen.tokens == tuple(got)
            assert not seen.ended
        if len(got) == 3:
            break
    stream.close()
    assert engine.engine.live_requests == 0
    seen = engine.latest("ann")
    assert seen is not None
    assert (seen.ended, seen.finished) == (True, False)
    assert len(answered(seen, tiny_template)[0].messages[-1].ids or ()) == 3


def test_a_continued_answer_is_one_message_with_what_was_there(
    tiny_model: NanoChatForCausalLM, tiny_template: ChatTemplate
) -> None:
    begun = tuple(tiny_template.encode("The fox"))
    conversation = asked("Who?").append(Message("assistant", "The fox", begun))
    engine = ObservedEngine(engine_of(tiny_model, tiny_template), tiny_model)
    message = done(engine.stream(conversation, SETTINGS, session="ann")).message
    seen = engine.latest("ann")
    assert seen is not None
    assert answered(seen, tiny_template) == (asked("Who?").append(message), len(begun))


def test_nobody_in_particular_is_not_observed(tiny_model: NanoChatForCausalLM, tiny_template: ChatTemplate) -> None:
    engine = ObservedEngine(engine_of(tiny_model, tiny_template), tiny_model)
    events = list(engine.stream(asked("Why?"), SETTINGS))
    assert isinstance(events[-1], Done)
    assert engine.latest("") is None


def test_an_answer_that_ends_late_does_not_stand_in_the_place_of_the_next_one(
    tiny_model: NanoChatForCausalLM, tiny_template: ChatTemplate
) -> None:
    engine = ObservedEngine(engine_of(tiny_model, tiny_template), tiny_model)
    old = engine.stream(asked("Why?"), SETTINGS, session="ann")
    while not isinstance(next(old), Token):
        pass
    first = engine.latest("ann")
    list(engine.stream(asked("Who?"), SETTINGS, session="ann"))
    latest = engine.latest("ann")
    assert first is not None
    assert latest is not None
    assert first.name != latest.name
    old.close()
    assert engine.latest("ann") is latest


def test_logits_live_on_the_shelf_alone_whoever_holds_the_observation(
    tiny_model: NanoChatForCausalLM, tiny_template: ChatTemplate
) -> None:
    engine = ObservedEngine(engine_of(tiny_model, tiny_template), tiny_model, Shelf(most_bytes=1))
    list(engine.stream(asked("Why?"), SETTINGS, session="ann"))
    seen = engine.latest("ann")
    assert seen is not None
    assert seen.logits(0) is not None
    list(engine.stream(asked("Who?"), SETTINGS, session="bob"))
    gc.collect()
    assert engine.latest("ann") is None
    assert seen.logits(0) is None
    assert engine.lens.look(seen.ids, len(seen.prompt_ids)).chosen_id == seen.tokens[0].id
