"""Large numbers in words a reader can hold."""

from __future__ import annotations


def short(number: float) -> str:
    """Return a number with three digits and a word: 17,300,000 is 17.3 million."""
    for size, word in ((1e12, " trillion"), (1e9, " billion"), (1e6, " million"), (1e3, " thousand")):
        # What rounds up to the next word is named by it: 999,600 is 1 million.
        if number >= size * 0.9995:
            return f"{_three_digits(number / size)}{word}"
    return f"{number:,.0f}"


def size(count: int) -> str:
    """Return a number of bytes in units of a thousand, as disks and files are sold."""
    for unit_bytes, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if count >= unit_bytes * 0.9995:
            return f"{_three_digits(count / unit_bytes)} {unit}"
    return f"{count:,} bytes"


def _three_digits(number: float) -> str:
    return f"{number:.3g}" if number < 999.5 else f"{number:,.0f}"
