"""What may come next is what transformers' own processors leave, and what comes is drawn fairly and repeatably."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from transformers import (
    LogitsProcessorList,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from nanochat.chat.sampling import LIMITS, SamplingSettings, distribution, rank, sample
from nanochat.errors import InvalidSettingError, ModelOutputError

PLAIN = SamplingSettings(temperature=1.0, top_k=0)

REFUSED = {
    "temperature": (-0.01, 2.01, "0.6", None, True, [1], 1j, b"1", math.nan, math.inf, -math.inf, 10**400),
    "top_k": (-1, 201, 5.5, "5", None, False, math.nan, math.inf, 1e300),
    "top_p": (0, 0.0, -0.5, 1.01, "1", None, True, math.nan, math.inf),
    "repetition_penalty": (0.99, 2.01, "1", None, True, math.nan, -math.inf),
    "max_tokens": (0, 4097, -1, 1.5, "256", None, True, math.nan, math.inf),
    "seed": (-1, 2**32, 0.5, "", "7", True, math.nan, math.inf),
}
ACCEPTED = {
    "temperature": (0, 2, 0.0, 2.0, 5e-324, 1),
    "top_k": (0, 200, 5.0),
    "top_p": (5e-324, 0.5, 1, 1.0),
    "repetition_penalty": (1, 1.0, 2),
    "max_tokens": (1, 4096, 10.0),
    "seed": (0, 2**32 - 1, 7.0, None),
}


def pairs(table: dict[str, tuple[object, ...]]) -> list[tuple[str, object]]:
    return [(name, value) for name, values in table.items() for value in values]


@pytest.mark.parametrize(("name", "value"), pairs(REFUSED))
def test_a_setting_of_a_wrong_type_or_out_of_range_is_refused_with_what_is_allowed(name: str, value: object) -> None:
    with pytest.raises(InvalidSettingError) as refusal:
        SamplingSettings(**{name: value})  # type: ignore[arg-type]
    assert refusal.value.name == name
    assert str(refusal.value) == f"{name} must be {LIMITS[name]}."


@pytest.mark.parametrize(("name", "value"), pairs(ACCEPTED))
def test_a_setting_within_its_range_is_kept_as_the_number_it_stands_for(name: str, value: object) -> None:
    kept = getattr(SamplingSettings(**{name: value}), name)  # type: ignore[arg-type]
    assert kept == value
    assert value is None or type(kept) is (int if LIMITS[name].whole else float)


def test_every_setting_has_a_limit_and_a_default_within_it() -> None:
    settings = SamplingSettings()
    assert list(LIMITS) == list(SamplingSettings.__dataclass_fields__)
    assert replace(settings, seed=7).seed == 7
    assert str(LIMITS["top_p"]) == "a number above 0 and at most 1"
    assert str(LIMITS["seed"]) == "a whole number from 0 to 4294967295 or left out"


def left_by_transformers(logits: torch.Tensor, settings: SamplingSettings, seen_ids: list[int]) -> torch.Tensor:
    """Return the probability of every id after transformers' own steps in transformers' own order."""
    steps = LogitsProcessorList()
    if settings.repetition_penalty != 1:
        steps.append(RepetitionPenaltyLogitsProcessor(settings.repetition_penalty))
    steps.append(TemperatureLogitsWarper(settings.temperature))
    if settings.top_k:
        steps.append(TopKLogitsWarper(settings.top_k))
    if settings.top_p < 1:
        steps.append(TopPLogitsWarper(settings.top_p))
    return steps(torch.tensor([seen_ids], dtype=torch.long), logits[None])[0].softmax(dim=-1)


@pytest.mark.parametrize("vocabulary", [7, 300, 5_000])
@pytest.mark.parametrize("temperature", [0.05, 0.6, 1.0, 2.0])
@pytest.mark.parametrize("top_k", [0, 1, 50, 200])
@pytest.mark.parametrize("top_p", [0.01, 0.5, 0.95, 0.9999, 1.0])
def test_the_distribution_is_what_the_processors_of_transformers_leave(
    vocabulary: int, temperature: float, top_k: int, top_p: float
) -> None:
    draw = torch.Generator().manual_seed(vocabulary + top_k)
    for penalty in (1.0, 1.3, 2.0):
        settings = SamplingSettings(temperature=temperature, top_k=top_k, top_p=top_p, repetition_penalty=penalty)
        logits = torch.randn(vocabulary, generator=draw) * 4
        seen_ids = torch.randint(vocabulary, (30,), generator=draw).tolist()
        chances = distribution(logits, settings, seen_ids)
        dense = torch.zeros(vocabulary, dtype=torch.float64)
        dense[chances.ids] = chances.probabilities
        expected = left_by_transformers(logits, settings, seen_ids)
        torch.testing.assert_close(dense.float(), expected, atol=1e-5, rtol=1e-3)
        assert len(chances.ids) == len(set(chances.ids.tolist()))
        # Float32 rounds the least probable ids away, so only there may the counts differ.
        assert dense[expected > 0].min() > 0
        assert (expected[dense > 1e-6] > 0).all()


def test_ids_that_share_the_kth_best_score_all_stay_as_in_transformers() -> None:
    logits = torch.tensor([1.0, 3.0, 2.0, 2.0, 0.0, 2.0])
    settings = replace(PLAIN, top_k=2)
    assert distribution(logits, settings).ids.tolist() == [1, 2, 3, 5]
    assert left_by_transformers(logits, settings, [0]).nonzero().flatten().tolist() == [1, 2, 3, 5]


def test_a_nucleus_larger_than_the_part_examined_first_is_found_whole() -> None:
    logits = torch.zeros(10_000)
    logits[1234] = 3.0
    chances = distribution(logits, replace(PLAIN, top_p=0.5))
    assert chances.ids[0] == 1234
    heaviest = math.exp(3) / (math.exp(3) + 9_999)
    assert len(chances.ids) == 1 + math.ceil((0.5 - heaviest) / ((1 - heaviest) / 9_999))
    torch.testing.assert_close(chances.probabilities.sum(), torch.tensor(1.0, dtype=torch.float64))


def test_the_penalty_pushes_seen_ids_down_once_and_ignores_ids_beyond_the_vocabulary() -> None:
    logits = torch.tensor([2.0, -2.0, 2.0, -2.0])
    settings = replace(PLAIN, repetition_penalty=2.0)
    chances = distribution(logits, settings, [0, 0, 0, 1, 99])
    torch.testing.assert_close(chances.probabilities, torch.tensor([1.0, -4.0, 2.0, -2.0]).double().softmax(dim=0))
    assert sample(logits, replace(settings, temperature=0), torch.Generator(), [0]) == 2


def test_the_logits_are_left_as_they_were() -> None:
    logits = torch.tensor([2.0, -2.0, 1.0])
    distribution(logits, replace(PLAIN, repetition_penalty=2.0, top_k=2, top_p=0.5), [0, 1])
    assert logits.tolist() == [2.0, -2.0, 1.0]


@pytest.mark.parametrize(
    "settings", [SamplingSettings(temperature=0), SamplingSettings(temperature=0, top_k=0, top_p=0.1)]
)
def test_temperature_zero_takes_the_most_probable_id_and_draws_nothing(settings: SamplingSettings) -> None:
    draw = torch.Generator().manual_seed(5)
    state = draw.get_state()
    for seed in range(50):
        logits = torch.randn(1_000, generator=torch.Generator().manual_seed(seed))
        assert sample(logits, settings, draw) == int(logits.argmax())
        assert distribution(logits, settings).probabilities.tolist() == [1.0]
    assert torch.equal(draw.get_state(), state)


def test_a_temperature_near_zero_is_greedy_and_not_undefined() -> None:
    logits = torch.tensor([1.0, 1.5, -15.0])
    for temperature in (5e-324, 1e-300, 1e-30, 1e-5):
        for top_k in (0, 2):
            chances = distribution(logits, SamplingSettings(temperature=temperature, top_k=top_k))
            assert chances.probabilities.max() == 1
            assert sample(logits, SamplingSettings(temperature=temperature, top_k=top_k), torch.Generator()) == 1


@pytest.mark.parametrize(
    "settings", [PLAIN, replace(PLAIN, top_k=5), replace(PLAIN, top_p=0.8), replace(PLAIN, temperature=0.5)]
)
def test_ids_are_drawn_as_often_as_their_probability_says(settings: SamplingSettings) -> None:
    logits = torch.randn(12, generator=torch.Generator().manual_seed(2)) * 2
    chances = distribution(logits, settings)
    draw = torch.Generator().manual_seed(3)
    draws = 2_000
    drawn = torch.bincount(torch.tensor([sample(logits, settings, draw) for _ in range(draws)]), minlength=12)
    expected = torch.zeros(12, dtype=torch.float64)
    expected[chances.ids] = chances.probabilities
    # Five standard deviations of a binomial count; an id without probability is never drawn.
    assert ((drawn - draws * expected).abs() <= 5 * (draws * expected * (1 - expected)).sqrt()).all()


@pytest.mark.parametrize("settings", [PLAIN, SamplingSettings(), replace(PLAIN, top_p=0.9)])
def test_the_same_seed_gives_the_same_ids_whatever_else_is_drawn(settings: SamplingSettings) -> None:
    logits = torch.randn(40, 500, generator=torch.Generator().manual_seed(1))
    first, second, other = (torch.Generator().manual_seed(seed) for seed in (9, 9, 10))
    alone = [sample(row, settings, first) for row in logits]
    together, different = [], []
    for row in logits:
        different.append(sample(row, settings, other))
        torch.rand(3)
        together.append(sample(row, settings, second))
    assert together == alone
    assert different != alone


def test_neighbouring_seeds_begin_differently() -> None:
    logits = torch.zeros(10)
    counts = [0] * 10
    for seed in range(1_000):
        counts[sample(logits, PLAIN, torch.Generator().manual_seed(seed))] += 1
    assert all(50 < count < 150 for count in counts)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_logits_of_any_precision_are_read_and_then_computed_with_in_a_high_one(dtype: torch.dtype) -> None:
    logits = torch.tensor([0.5, 4.0, 1.0], dtype=dtype, requires_grad=True)
    chances = distribution(logits, replace(PLAIN, repetition_penalty=1.3), [0, 1, 2])
    expected = (torch.tensor([0.5, 4.0, 1.0]).double() / 1.3).softmax(dim=0)
    torch.testing.assert_close(chances.probabilities, expected, atol=1e-6, rtol=1e-6)
    assert not chances.probabilities.requires_grad


@pytest.mark.parametrize("broken", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_logits_that_are_not_finite_are_an_error_and_not_an_answer(broken: float, temperature: float) -> None:
    logits = torch.zeros(20)
    logits[7] = broken
    for top_k in (0, 5):
        with pytest.raises(ModelOutputError, match="not finite"):
            sample(logits, SamplingSettings(temperature=temperature, top_k=top_k), torch.Generator())


@pytest.mark.parametrize("top_k", [0, 1, 5, 50, 200])
@pytest.mark.parametrize("penalty", [1.0, 1.4])
def test_a_ranking_that_is_known_changes_nothing(top_k: int, penalty: float) -> None:
    draw = torch.Generator().manual_seed(top_k)
    for places in (1, 3, 60, 2_000):
        # Rounded so far that several ids share each score, the k-th best one too.
        logits = (torch.randn(places, generator=draw) * 8).round() / 2
        settings = replace(PLAIN, top_k=top_k, repetition_penalty=penalty)
        known = rank(logits, settings, 5)
        alone, ranked = (distribution(logits, settings, [0, 2], given) for given in (None, known))
        assert torch.equal(alone.ids, ranked.ids)
        assert torch.equal(alone.probabilities, ranked.probabilities)
        assert len(known.ids) == min(places, max(top_k + 1, 5))
        assert known.logits.tolist() == logits.sort(descending=True).values[: len(known.ids)].tolist()
