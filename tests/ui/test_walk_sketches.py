"""What every model does alike is drawn as it is computed."""

from __future__ import annotations

import pytest

from nanochat.ui import walk_sketches
from nanochat.ui.walk_sketches import EXAMPLE, SCORES, root_mean_square, softmax
from tests.ui.models import plan
from tests.ui.pictures import outside, read, with_class

PICTURES = [
    walk_sketches.norm,
    walk_sketches.copied,
    walk_sketches.ended,
    walk_sketches.mix,
    walk_sketches.addition,
    walk_sketches.smear,
    walk_sketches.probabilities,
]


@pytest.mark.parametrize("picture", PICTURES)
def test_everything_stays_within_its_picture(picture: object) -> None:
    markup = picture(plan("tiny"))  # type: ignore[operator]
    assert not outside(markup)
    assert read(markup).get("aria-label")


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
