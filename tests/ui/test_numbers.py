"""The numbers under an answer."""

from __future__ import annotations

import pytest

from nanochat.chat.conversation import Message
from nanochat.ui.numbers import details, ending, headline
from nanochat.ui.reply import Reply
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


def test_left_out_turns_are_told() -> None:
    assert "oldest 2 turns" in details(Reply(asked_at=0, started=started(dropped_turns=2)))
    assert "oldest" not in details(FINISHED)


def test_the_account_names_what_was_reused_and_the_context() -> None:
    account = details(FINISHED)
    assert "Prompt: 3 tokens, of which 1 had been read before" in account
    assert "Context: 12 of 256 tokens" in account
