"""A step of fixed shapes against the pass it stands for, in both architectures."""

from __future__ import annotations

import pytest
import torch

from nanochat.model.decoder import Segment
from nanochat.model.static_step import MOST_ROWS, StepRows
from tests.model.steps import CONTEXT, REACH, counted, decoder_of, each_kind, fill, ids_of, model_of, with_steps, write

CLOSE = {"atol": 1e-5, "rtol": 0}
# Slots out of order, at different lengths: nothing read yet, before, at and after the edge of a reach, the last place.
LIVE = [
    {0: 0},
    {5: 7},
    {5: 8},
    {3: 63},
    {6: 30, 1: 31},
    {4: 15, 2: 1},
    {7: 16, 0: 0, 3: 3},
    {2: 31, 7: 32, 1: 9, 6: 20, 4: 2},
    {7: 1, 6: 63, 5: 33, 4: 10, 3: 0, 2: 47, 1: 24, 0: 62},
]


@each_kind
@pytest.mark.parametrize("lengths", LIVE, ids=str)
def test_a_step_says_what_a_pass_says_and_stores_what_it_stores(kind: str, lengths: dict[int, int]) -> None:
    model = model_of(kind)
    calls: list[tuple[int, int]] = []
    # What nobody has read may hold anything; here it is the same on both sides, so that all of it can be compared.
    eager, static = decoder_of(model, holding=9.0), with_steps(decoder_of(model, holding=9.0), counted(calls))
    for decoder in (eager, static):
        fill(decoder, lengths)
    calls.clear()
    torch.testing.assert_close(write(static, tuple(lengths)), write(eager, tuple(lengths)), **CLOSE)
    assert len(calls) == 1
    assert [slot.ids for slot in static.cache.slots] == [slot.ids for slot in eager.cache.slots]
    for ours, theirs in zip(static.cache.layers, eager.cache.layers, strict=True):
        torch.testing.assert_close(ours, theirs, **CLOSE)


@each_kind
def test_answers_written_to_the_end_of_the_context_stay_those_of_passes(kind: str) -> None:
    model = model_of(kind)
    calls: list[tuple[int, int]] = []
    eager, static = decoder_of(model), with_steps(decoder_of(model), counted(calls))
    live = (2, 6, 1)
    for decoder in (eager, static):
        fill(decoder, {2: 1, 6: 12, 1: 5})
    while live := tuple(place for place in live if len(static.cache.slots[place].ids) < CONTEXT):
        chosen = [logits.argmax(dim=1).tolist() for logits in (write(eager, live), write(static, live))]
        assert chosen[0] == chosen[1]
    assert {reach for _, reach in calls} == {16, 32, 64}
    assert {rows for rows, _ in calls} == {1, 2, 4}
    # What steps have stored is there for the next who begins in the same way.
    ids = static.cache.slots[2].ids[:40]
    for decoder in (eager, static):
        decoder.cache.slots[2].ids[:] = ids
    reused = [decoder.cache.take([*ids, 4, 5, 6]) for decoder in (eager, static)]
    assert [slot.ids for slot in reused] == [ids, ids]
    for tail in ((4, 5), (6,)):
        read = [decoder.read([Segment(slot, tail)]) for decoder, slot in zip((eager, static), reused, strict=True)]
        torch.testing.assert_close(read[1], read[0], **CLOSE)


def test_what_was_never_read_may_be_no_number() -> None:
    model = model_of("current")
    static = with_steps(decoder_of(model, holding=torch.nan))
    fill(static, {3: 4, 5: 12})
    assert write(static, (5, 3, 0)).isfinite().all()


def test_only_passes_of_single_ids_that_all_want_logits_are_steps() -> None:
    calls: list[tuple[int, int]] = []
    static = with_steps(decoder_of(model_of("classic")), counted(calls))
    one, other = static.cache.slots[:2]
    for segments in (
        [Segment(one, (1, 2))],
        [Segment(one, (3,)), Segment(other, (1, 2))],
        [Segment(one, (4,), kept=0)],
        [Segment(one, (5,)), Segment(other, (6,), kept=0)],
    ):
        static.read(segments)
    assert not calls
    static.read([Segment(one, (7,))])
    assert calls == [(1, REACH)]


def test_more_rows_than_it_is_made_for_go_in_a_pass() -> None:
    calls: list[tuple[int, int]] = []
    static = with_steps(decoder_of(model_of("classic"), slots=MOST_ROWS + 1), counted(calls))
    everyone = tuple(range(MOST_ROWS + 1))
    assert write(static, everyone).isfinite().all()
    assert not calls
    write(static, everyone[1:])
    assert calls == [(MOST_ROWS, REACH)]


@pytest.mark.parametrize(
    ("lengths", "rows", "reach"),
    [((0,), 1, 8), ((7,), 1, 8), ((8,), 1, 16), ((3, 15), 2, 16), ((1, 2, 16), 4, 32), ((63,) * 5, 8, 60)],
)
def test_rows_and_reach_are_the_least_that_will_do(lengths: tuple[int, ...], rows: int, reach: int) -> None:
    decoder = decoder_of(model_of("classic"))
    for slot, length in zip(decoder.cache.slots, lengths, strict=False):
        slot.ids[:] = ids_of(length, 1)
    steps = [(slot, 5) for slot in decoder.cache.slots[: len(lengths)]]
    laid_out, reached = StepRows(decoder._lean, 60, REACH).of(steps)
    assert (tuple(laid_out.shape), reached) == ((4, rows), reach)
    for row in range(len(lengths), rows):
        assert torch.equal(laid_out[:, row], laid_out[:, 0])
