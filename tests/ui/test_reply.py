"""Events folded into what the page shows."""

from __future__ import annotations

from collections.abc import Generator
from functools import reduce

import pytest

from nanochat.chat.conversation import Message, Part
from nanochat.chat.events import Event, PrefillProgress, Queued, ToolCall, ToolResult
from nanochat.ui.reply import Reply, after, is_first_token, replies
from tests.ui.events import CALCULATION, calculating_reply, plain_reply, started, token


def fold(events: list[Event]) -> Reply:
    return reduce(lambda reply, item: after(reply, item[1], now=1.0 + item[0]), enumerate(events), Reply(asked_at=0.0))


@pytest.mark.parametrize("events", [plain_reply("The sky is blue."), calculating_reply()], ids=["plain", "calculating"])
def test_the_fold_of_all_tokens_equals_the_message_the_engine_reports(events: list[Event]) -> None:
    without_the_end = fold(events[:-1])
    assert without_the_end.message == fold(events).message


def test_every_prefix_of_a_stream_is_a_message_whose_ids_are_the_tokens_so_far() -> None:
    events = calculating_reply()
    for length in range(len(events)):
        reply = fold(events[:length])
        assert reply.message.ids == tuple(range(10, 10 + len(reply.ids)))
        assert CALCULATION[0].text.startswith(reply.message.text[:12])


def test_text_after_a_calculation_is_a_part_of_its_own() -> None:
    assert fold(calculating_reply()).parts == CALCULATION


def test_a_call_without_a_result_leaves_the_call_alone() -> None:
    reply = fold([started(), ToolCall("hello"), ToolResult("hello", None), token("No.")])
    assert reply.parts == (Part("python", "hello"), Part("text", "No."))


def test_a_reply_has_begun_with_its_first_token_or_with_an_end_that_has_none() -> None:
    assert not fold([Queued(2), started(), PrefillProgress(1, 3)]).begun
    assert fold([started(), token("")]).begun
    assert fold([started(), plain_reply("Hi")[-1]]).begun


def test_what_it_waits_for_is_forgotten_with_the_first_token() -> None:
    assert fold([Queued(2)]).waiting == Queued(2)
    assert fold([started(), PrefillProgress(1, 3)]).waiting == PrefillProgress(1, 3)
    assert fold([started(), PrefillProgress(3, 3), token("a")]).waiting is None


def test_an_event_of_a_kind_not_known_here_changes_nothing() -> None:
    reply = fold([started(), token("a")])
    assert after(reply, object(), now=reply.latest_at or 0) == reply  # type: ignore[arg-type]


def test_an_empty_answer_is_a_message_without_words() -> None:
    assert fold([started()]).message == Message("assistant", "", ())


def test_a_reply_that_goes_on_begins_with_what_was_there() -> None:
    begun = Message("assistant", "Well:", (1, 2))
    states = list(replies(iter_of(plain_reply(" The sky")[:-1]), begun=begun))
    assert [state.ids[:2] for state in states] == [(1, 2)] * len(states)
    assert states[-1].message == Message("assistant", "Well: The sky", (1, 2, 0, 1, 2))
    # Until a new token comes there is nothing to remember, and the first new one is the one that is waited for.
    assert [state.begun for state in states] == [False, False, True, True, True]
    assert [is_first_token(state) for state in states] == [False, False, True, False, False]


def iter_of(events: list[Event]) -> Generator[Event, None, None]:
    yield from events
