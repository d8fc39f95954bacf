"""What is kept while an answer is made is what a fresh pass would give, within bounds."""

from __future__ import annotations

import pytest
import torch

from nanochat import NanoChatForCausalLM
from nanochat.chat.events import Started
from nanochat.chat.sampling import SamplingSettings
from nanochat.chat.template import ChatTemplate
from nanochat.lens.capture import Shelf, Trace
from tests.chat.engines import asked, done, engine_of, tokens


def test_captured_probabilities_are_those_of_a_fresh_full_forward(
    tiny_model: NanoChatForCausalLM, tiny_template: ChatTemplate
) -> None:
    trace = Trace()
    settings = SamplingSettings(temperature=1.0, top_k=0, max_tokens=20, seed=7)
    events = list(engine_of(tiny_model, tiny_template).stream(asked("What is 12 + 34?"), settings, capture=trace))
    assert trace.ids == [token.id for token in tokens(events)] == list(done(events).message.ids or ())
    (started,) = [event for event in events if isinstance(event, Started)]
    ids = [*started.prompt_ids, *trace.ids]
    with torch.no_grad():
        fresh = tiny_model(torch.tensor([ids])).logits[0].softmax(dim=-1)
    for place, token in enumerate(tokens(events)):
        captured = trace.logits(place)
        assert captured is not None
        probabilities = captured.softmax(dim=-1)
        torch.testing.assert_close(probabilities, fresh[len(started.prompt_ids) + place - 1], rtol=0, atol=1e-4)
        assert float(probabilities[token.id].log()) == pytest.approx(token.logprob, abs=1e-4)


def test_the_newest_rows_are_kept_within_the_bound() -> None:
    trace = Trace(most_bytes=3 * 10 * 4)
    for token_id in range(8):
        trace.token(token_id, torch.full((10,), float(token_id)))
    assert trace.ids == list(range(8))
    assert trace.size_bytes == 3 * 10 * 4
    assert [trace.logits(place) is None for place in range(9)] == [True] * 5 + [False] * 3 + [True]
    assert [float(trace.logits(place)[0]) for place in (5, 6, 7)] == [5.0, 6.0, 7.0]
    assert trace.logits(-1) is None


def test_a_row_is_a_copy() -> None:
    trace, row = Trace(), torch.ones(4)
    trace.token(1, row)
    row.zero_()
    assert trace.logits(0).tolist() == [1.0] * 4


def test_the_shelf_forgets_what_was_unused_longest() -> None:
    shelf: Shelf[int] = Shelf(most_bytes=2 * 40)
    for number in range(3):
        shelf.put(str(number), number, 40)
        shelf.get("0")
    assert [shelf.get(key) for key in "012"] == [0, None, 2]
    assert shelf.get("no such key") is None
    shelf.put("2", 9, 1_000)
    assert [shelf.get(key) for key in "02"] == [None, 9]
