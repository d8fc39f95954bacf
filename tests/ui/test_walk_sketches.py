"""What every model does alike is drawn as it is computed."""

from __future__ import annotations

import pytest

from nanochat.ui import walk_sketches
from nanochat.ui.walk_sketches import EXAMPLE, SCORES, root_mean_square, softmax
from tests.ui.models import plan
from tests.ui.pictures import with_class


def test_the_norm_divides_every_number_by_their_size() -> None:
    heights = [float(bar.attrib["height"]) for bar in with_class(walk_sketches.norm(plan("tiny")), "choice")]
    before, after = heights[:8], heights[8:]
    assert before == pytest.approx([12 * abs(value) for value in EXAMPLE], abs=0.1)
    assert root_mean_square([height / 12 for height in after]) == pytest.approx(1, abs=0.02)


def test_probabilities_add_up_to_one_and_a_low_temperature_sharpens_them() -> None:
    best = []
    for temperature in (0.5, 1.0, 2.0):
        chances = softmax(SCORES, temperature)
        assert sum(chances) == pytest.approx(1)
        best.append(max(chances))
    assert best == sorted(best, reverse=True)
