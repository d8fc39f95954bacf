"""Large numbers in words."""

from __future__ import annotations

import pytest

from nanochat.ui.amounts import short, size


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (0, "0"),
        (999, "999"),
        (1_000, "1 thousand"),
        (12_345, "12.3 thousand"),
        (999_499, "999 thousand"),
        (999_600, "1 million"),
        (17_320_000, "17.3 million"),
        (1_879_000_000, "1.88 billion"),
        (2.5e12, "2.5 trillion"),
    ],
)
def test_a_number_has_three_digits_and_a_word(number: float, words: str) -> None:
    assert short(number) == words


@pytest.mark.parametrize(
    ("count", "words"),
    [(0, "0 bytes"), (512, "512 bytes"), (20_480, "20.5 kB"), (33_554_432, "33.6 MB"), (3_760_000_000, "3.76 GB")],
)
def test_bytes_are_counted_in_thousands(count: int, words: str) -> None:
    assert size(count) == words
