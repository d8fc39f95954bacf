"""The numbers under an answer."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nanochat.chat.conversation import Message
from nanochat.chat.events import GPUUsed, GPUWait, PrefillProgress, Queued
from nanochat.ui.numbers import details, ending, headline, waiting_words
from nanochat.ui.reply import Origin, Reply
from tests.ui.events import done, started

ANSWER = Message("assistant", "Paris.", tuple(range(21)))
FINISHED = Reply(asked_at=0, first_token_at=0.5, latest_at=2.5, ids=ANSWER.ids, started=started(), done=done(ANSWER))


def test_the_line_has_tokens_speed_wait_ending_and_seed() -> None:
    assert headline(FINISHED).startswith("21 tokens · 10 tok/s · first after 0.50 s · finished · seed 42 · ")


def test_the_context_is_a_gauge_with_words_for_those_who_do_not_see_it() -> None:
    assert '<meter min="0" max="256" value="12" aria-label="12 of 256 tokens of context in use">5%</meter>' in headline(
        FINISHED
    )


def test_a_stopped_reply_has_numbers_too_but_claims_no_ending() -> None:
    stopped = Reply(asked_at=0, first_token_at=0.5, latest_at=2.5, ids=tuple(range(21)), started=started())
    assert headline(stopped) == "21 tokens · 10 tok/s · first after 0.50 s · seed 42"


def test_one_token_has_no_speed() -> None:
    assert "tok/s" not in headline(Reply(asked_at=0, first_token_at=1, latest_at=1, ids=(1,), started=started()))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"finish_reason": "stop"}, "finished"),
        ({"finish_reason": "deadline"}, "cut: out of time"),
        ({"finish_reason": "length"}, "cut: max tokens"),
        ({"finish_reason": "length", "context_tokens": 256}, "cut: context full"),
    ],
)
def test_an_ending_is_told_by_its_cause(changes: dict[str, object], words: str) -> None:
    assert ending(done(ANSWER, **changes)) == words


def test_left_out_turns_are_told_in_the_line_and_in_the_account() -> None:
    forgetful = Reply(asked_at=0, started=started(dropped_turns=2), ids=(1,))
    assert "oldest 2 turns left out" in headline(forgetful)
    assert "oldest 2 turns did not fit" in details(forgetful)
    assert "oldest" not in headline(FINISHED) + details(FINISHED)


@pytest.mark.parametrize(
    ("waiting", "seconds", "words"),
    [
        (Queued(1), 1.0, "Waiting for a free place: yours is next"),
        (Queued(3), 1.0, "Waiting: 2 before you"),
        (GPUWait(12, 3.0), 3.0, "Waiting for a GPU, asked for 12 s"),
        (PrefillProgress(512, 2_000), 0.6, "Reading: 512 of 2,000 tokens"),
        (PrefillProgress(3, 20), 0.1, None),
        (None, 9.0, None),
    ],
)
def test_a_wait_is_explained_once_it_is_felt(waiting: object, seconds: float, words: str | None) -> None:
    assert waiting_words(Reply(asked_at=5, latest_at=5 + seconds, waiting=waiting)) == words


def test_a_lent_gpu_is_accounted_for() -> None:
    lent = replace(FINISHED, gpu_used=GPUUsed(estimated_seconds=12, used_seconds=3.5, start_seconds=1.0))
    assert "GPU: 3.50 s used, 12 s asked for." in details(lent)


def test_the_account_names_what_was_reused_and_the_context() -> None:
    account = details(FINISHED)
    assert "Prompt: 3 tokens, of which 1 had been read before" in account
    assert "Context: 12 of 256 tokens" in account


@pytest.mark.parametrize(
    ("origin", "line", "account"),
    [
        ("model", "continued", "The first 5 tokens of the answer were there before"),
        ("user", "begun with your words", "The first 5 tokens of the answer are your words"),
    ],
)
def test_what_an_answer_goes_on_from_is_told_and_not_counted_as_new(origin: Origin, line: str, account: str) -> None:
    going_on = replace(FINISHED, given=5, origin=origin, done=None)
    assert headline(going_on).startswith("16 tokens · ")
    assert line in headline(going_on)
    assert account in details(going_on)
    assert line not in headline(FINISHED)
