"""Both sides do the same work: as many tokens as asked for, the same ones, and an end when it is wanted."""

from __future__ import annotations

import pytest
import torch

from nanochat.bench.questions import question
from nanochat.bench.sides import Cancel, OurSide, Side, Timed, TransformersSide
from nanochat.bench.subjects import make_subject, rival_model
from nanochat.bench.trial import Trial
from nanochat.chat.engine import EngineLimits, LocalEngine
from nanochat.chat.events import Token
from nanochat.chat.sampling import SamplingSettings
from nanochat.errors import BenchError, ContextFullError


def sides(trial: Trial) -> list[Side]:
    return [*(OurSide(one.engine) for one in trial.ours), *trial.rivals.values()]


def test_both_sides_make_the_number_of_tokens_that_is_asked_for(trial: Trial, random_trial: Trial) -> None:
    for each in (trial, random_trial):
        asked = question(each.first.subject.template, 1)
        assert [side.answer(asked, 7).tokens for side in sides(each)] == [7] * len(sides(each))


def test_both_sides_write_the_same_tokens(trial: Trial) -> None:
    one, rival = trial.first, rival_model(make_subject(trial.shape, "cpu"), torch.float32)
    asked = question(one.subject.template, 2)
    events = one.engine.stream(asked, SamplingSettings(temperature=0, max_tokens=12))
    ids = torch.tensor([one.subject.template.prompt(asked)])
    made = rival.generate(ids, max_new_tokens=12, do_sample=False, eos_token_id=None, pad_token_id=0)
    assert made[0, ids.shape[1] :].tolist() == [event.id for event in events if isinstance(event, Token)]


def test_the_first_token_comes_before_the_last(trial: Trial) -> None:
    for side in sides(trial):
        timed = side.answer(question(trial.first.subject.template, 3), 8)
        assert 0 < timed.first_token_seconds < timed.seconds


def test_the_speed_of_writing_leaves_out_the_first_token_and_the_wait_for_it() -> None:
    assert Timed(first_token_seconds=2.0, seconds=4.0, tokens=21).tokens_per_second == 10.0


def test_an_answer_that_ends_early_is_no_measurement(trial: Trial) -> None:
    # The context ends the answer of ours; a deadline would do the same.
    one = trial.first
    short = OurSide(LocalEngine(one.subject.model, one.subject.template, EngineLimits(context=64)))
    with pytest.raises(BenchError, match="An answer of 100 tokens was asked for and"):
        short.answer(question(one.subject.template, 4), 100)


def test_a_wish_to_end_ends_both_sides_long_before_all_is_said(trial: Trial) -> None:
    for side in (OurSide(trial.first.engine), *trial.rivals.values()):
        cancel = Cancel()
        cancel.wanted.set()
        assert 1 <= side.answer(question(trial.first.subject.template, 5), 100, cancel).tokens <= 2
        assert cancel.begun.is_set()
    assert trial.first.engine.live_requests == 0


def test_what_fails_in_the_thread_of_the_rival_is_raised_where_it_is_read(trial: Trial) -> None:
    subject = trial.first.subject

    class Broken:
        device = torch.device("cpu")

        def generate(self, **options: object) -> None:
            raise ContextFullError(2, 1)

    side = TransformersSide(Broken(), subject.tokenizer, subject.template, "broken")
    with pytest.raises(ContextFullError):
        side.answer(question(subject.template, 6), 4)
