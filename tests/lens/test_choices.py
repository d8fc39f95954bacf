"""Choices: the model's probabilities are a softmax, the drawn ones are what sampling draws from."""

from __future__ import annotations

import math

import pytest
import torch

from nanochat.chat.sampling import SamplingSettings, distribution
from nanochat.errors import LensError
from nanochat.lens.choices import choices

LOGITS = torch.randn(50, generator=torch.Generator().manual_seed(2)) * 3


def test_probabilities_before_the_settings_are_the_softmax() -> None:
    described = choices(LOGITS, SamplingSettings(), 7)
    expected = LOGITS.double().softmax(dim=0)
    for choice in described.shown:
        assert choice.probability == pytest.approx(float(expected[choice.id]))
        assert choice.rank == int((expected > expected[choice.id]).sum()) + 1
    assert [choice.rank for choice in described.shown[:20]] == list(range(1, 21))
    assert described.surprise_bits == pytest.approx(-math.log2(float(expected[7])))
    assert described.entropy_bits == pytest.approx(-float((expected * expected.log2()).sum()))


@pytest.mark.parametrize(
    "settings",
    [
        SamplingSettings(temperature=0.5, top_k=5),
        SamplingSettings(temperature=1.5, top_k=0, top_p=0.8),
        SamplingSettings(temperature=0),
        SamplingSettings(repetition_penalty=1.7, top_k=8),
    ],
    ids=str,
)
def test_probabilities_after_the_settings_are_what_sampling_draws_from(settings: SamplingSettings) -> None:
    seen = LOGITS.topk(3).indices.tolist()
    described = choices(LOGITS, settings, 7, seen, shown=50)
    drawn = distribution(LOGITS, settings, seen)
    expected = dict(zip(drawn.ids.tolist(), drawn.probabilities.tolist(), strict=True))
    assert {choice.id: choice.drawn_probability for choice in described.shown if not choice.excluded} == expected
    assert sum(choice.drawn_probability for choice in described.shown) == pytest.approx(1)
    assert described.left == len(expected)


def test_the_chosen_id_is_shown_however_unlikely_it_was() -> None:
    worst = int(LOGITS.argmin())
    described = choices(LOGITS, SamplingSettings(top_k=10), worst, shown=5)
    assert len(described.shown) == 6
    assert described.shown[-1].id == worst
    assert described.shown[-1].rank == 50
    assert described.shown[-1].excluded
    assert [choice.chosen for choice in described.shown] == [False] * 5 + [True]


@pytest.mark.parametrize("token_id", [-1, 50])
def test_an_id_outside_the_vocabulary_is_refused(token_id: int) -> None:
    with pytest.raises(LensError):
        choices(LOGITS, SamplingSettings(), token_id)
