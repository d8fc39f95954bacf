"""Slots: whom they are given to, what they keep, and that stepping through them equals one full pass."""

from __future__ import annotations

import random

import pytest
import torch

from nanochat import NanoChatConfig, NanoChatForCausalLM
from nanochat.model.cache import SlotCache, reusable_length
from nanochat.model.decoder import Segment, SlotDecoder

CONTEXT = 64


def model_of(kv_heads: int = 2, **fields: object) -> NanoChatForCausalLM:
    config = NanoChatConfig(
        vocab_size=96,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=kv_heads,
        max_position_embeddings=CONTEXT,
        initializer_range=0.2,
        **fields,
    )
    with torch.random.fork_rng():
        torch.manual_seed(kv_heads)
        return NanoChatForCausalLM(config).eval()


def cache_of(model: NanoChatForCausalLM, slots: int = 3) -> SlotCache:
    return SlotCache(model.config, slots, CONTEXT, dtype=torch.float32, device=model.device)


def random_ids(length: int, seed: int) -> list[int]:
    return random.Random(seed).choices(range(96), k=length)


@torch.inference_mode()
def full_pass(model: NanoChatForCausalLM, ids: list[int]) -> torch.Tensor:
    return model(torch.tensor([ids])).logits[0]


def filled(cache: SlotCache, *contents: list[int]) -> None:
    for slot, ids in zip(cache.slots, contents, strict=False):
        slot.ids[:] = ids


@pytest.mark.parametrize("kv_heads", [1, 2, 4])
@pytest.mark.parametrize("steps", [(40,), (1,) * 40, (7, 1, 1, 20, 11), (39, 1)])
def test_reading_in_any_steps_equals_one_full_pass(kv_heads: int, steps: tuple[int, ...]) -> None:
    model = model_of(kv_heads)
    decoder = SlotDecoder(model, cache_of(model))
    ids = random_ids(sum(steps), seed=3)
    logits = []
    start = 0
    for length in steps:
        segment = Segment(decoder.cache.slots[1], tuple(ids[start : start + length]), kept=length)
        logits += decoder.read([segment])
        start += length
    torch.testing.assert_close(torch.cat(logits), full_pass(model, ids), atol=1e-4, rtol=0)


def test_segments_in_one_pass_do_not_see_each_other() -> None:
    model = model_of()
    decoder = SlotDecoder(model, cache_of(model, slots=4))
    texts = [random_ids(length, seed=length) for length in (30, 17, 1, 22)]
    for step in range(30):
        read = []
        for slot, ids in zip(decoder.cache.slots, texts, strict=True):
            # Each in its own rhythm: one id, a few, or nothing at all.
            start = len(slot.ids)
            piece = ids[start : start + (1, 4, 1, step % 3)[slot.index]]
            read += [Segment(slot, tuple(piece), kept=len(piece))] if piece else []
        for segment, logits in zip(read, decoder.read(read) if read else (), strict=True):
            whole = full_pass(model, texts[segment.slot.index])
            expected = whole[len(segment.slot.ids) - len(segment.ids) : len(segment.slot.ids)]
            torch.testing.assert_close(logits, expected, atol=1e-4, rtol=0)
    assert [slot.ids for slot in decoder.cache.slots] == texts


def test_a_slot_remembers_exactly_what_was_read() -> None:
    model = model_of()
    decoder = SlotDecoder(model, cache_of(model))
    slot = decoder.cache.slots[0]
    decoder.read([Segment(slot, (1, 2, 3))])
    with pytest.raises(IndexError):
        decoder.read([Segment(slot, (4, 1000))])
    assert slot.ids == [1, 2, 3]
    (logits,) = decoder.read([Segment(slot, (4,))])
    torch.testing.assert_close(logits[0], full_pass(model, [1, 2, 3, 4])[-1], atol=1e-4, rtol=0)


def test_segments_without_kept_logits_may_stand_beside_others() -> None:
    model = model_of()
    decoder = SlotDecoder(model, cache_of(model))
    silent, spoken = decoder.cache.slots[:2]
    none, some = decoder.read([Segment(silent, (5, 6, 7), kept=0), Segment(spoken, (8, 9), kept=1)])
    assert none.shape == (0, 96)
    assert some.shape == (1, 96)
    (alone,) = decoder.read([Segment(spoken, (1, 2), kept=0)])
    assert alone.shape == (0, 96)


@pytest.mark.parametrize(
    ("cached", "prompt", "length"),
    [
        ([], [1], 0),
        ([1, 2, 3], [1, 2, 3, 4], 3),
        ([1, 2, 3], [1, 2, 3], 2),
        ([1, 2, 3, 4, 5], [1, 2, 3], 2),
        ([1, 2, 9, 4], [1, 2, 3, 4], 2),
        ([9], [1, 2], 0),
        ([1], [1], 0),
    ],
)
def test_the_last_token_of_a_prompt_is_never_reused(cached: list[int], prompt: list[int], length: int) -> None:
    assert reusable_length(cached, prompt) == length


def test_an_empty_prompt_is_refused() -> None:
    with pytest.raises(ValueError, match="empty prompt"):
        reusable_length([1], [])


def test_the_slot_with_the_longest_common_beginning_is_taken() -> None:
    cache = cache_of(model_of())
    filled(cache, [1, 2, 3, 4], [1, 2, 3, 4, 5, 6], [7, 8])
    slot = cache.take([1, 2, 3, 4, 5, 6, 7])
    assert slot is cache.slots[1]
    assert slot.ids == [1, 2, 3, 4, 5, 6]


def test_the_least_recently_used_slot_is_taken_where_nothing_is_shared() -> None:
    cache = cache_of(model_of())
    for first in (1, 2, 3):
        slot = cache.take([first, 0])
        slot.ids[:] = [first, 0]
        cache.release(slot)
    again = cache.take([1, 0, 5])
    cache.release(again)
    assert again is cache.slots[0]
    assert cache.take([9, 9]) is cache.slots[1]


def test_busy_slots_are_not_taken() -> None:
    cache = cache_of(model_of(), slots=2)
    assert {cache.take([1, 2]).index, cache.take([1, 2]).index} == {0, 1}
    assert cache.take([1, 2]) is None


@pytest.mark.parametrize("source_is_busy", [True, False])
def test_a_branch_starts_from_a_copy_and_leaves_the_longer_path_alone(source_is_busy: bool) -> None:
    model = model_of()
    decoder = SlotDecoder(model, cache_of(model))
    trunk, path = random_ids(10, seed=1), random_ids(30, seed=2)
    source = decoder.cache.take(trunk + path)
    decoder.read([Segment(source, tuple(trunk + path))])
    if not source_is_busy:
        decoder.cache.release(source)
    other = [94, 95, *random_ids(5, seed=4)]
    branch = decoder.cache.take(trunk + other)
    assert branch is not source
    assert branch.ids == trunk
    assert source.ids == trunk + path
    (logits,) = decoder.read([Segment(branch, tuple(other))])
    torch.testing.assert_close(logits[0], full_pass(model, trunk + other)[-1], atol=1e-4, rtol=0)


def test_a_forgotten_slot_gives_nothing_to_the_next() -> None:
    cache = cache_of(model_of())
    filled(cache, [1, 2, 3, 4])
    cache.forget(cache.slots[0])
    assert all(slot.ids == [] for slot in cache.slots)
    assert cache.take([1, 2, 3, 4]).ids == []


def test_the_stated_memory_is_what_the_tensors_take() -> None:
    model = model_of(kv_heads=2)
    # 2 layers, keys and values, 3 slots, 2 heads of 8 channels, 4 bytes
    assert cache_of(model).size_bytes == 2 * 2 * 3 * CONTEXT * 2 * 8 * 4
