"""The loss curve is well-formed, complete and in proportion."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from nanochat.recipe.curve import HEIGHT, MARGIN, WIDTH, Series, loss_curve

SVG = "{http://www.w3.org/2000/svg}"


def lines(svg: str) -> list[list[tuple[float, float]]]:
    root = ElementTree.fromstring(svg)
    return [
        [tuple(map(float, point.split(","))) for point in line.get("points", "").split()]  # type: ignore[misc]
        for line in root.iter(f"{SVG}polyline")
    ]


def test_stages_stand_one_behind_the_other() -> None:
    first, second = lines(
        loss_curve([Series("a", [(10, 4.0), (20, 3.0)]), Series("b", [(10, 2.0), (20, 1.0), (40, 1.0)])])
    )
    assert first[-1][0] < second[0][0]
    assert second[-1][0] == pytest.approx(WIDTH - MARGIN)
    # 20 tokens of the first stage and 40 of the second: the border lies at a third.
    assert first[-1][0] == pytest.approx(MARGIN + (WIDTH - 2 * MARGIN) / 3, abs=0.1)


def test_a_falling_loss_falls_on_the_picture_and_stays_inside() -> None:
    (line,) = lines(loss_curve([Series("a", [(step, 10 - step) for step in range(1, 9)])]))
    heights = [y for _, y in line]
    assert heights == sorted(heights)
    assert all(MARGIN <= y <= HEIGHT - MARGIN for y in heights)


def test_one_point_is_a_picture_too() -> None:
    assert len(lines(loss_curve([Series("a", [(0, 1.0)])]))) == 1


def test_no_point_is_refused() -> None:
    with pytest.raises(ValueError, match="no loss to draw"):
        loss_curve([Series("a", [])])
