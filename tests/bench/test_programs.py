"""What is told of a program that failed."""

from __future__ import annotations

import pytest

from nanochat.bench.programs import HOUSE, last_words


@pytest.mark.parametrize(
    ("printed", "words"),
    [
        ("Traceback:\n  File\nValueError: no\n\n", "ValueError: no"),
        ("one line", "one line"),
        ("", "it printed nothing"),
        ("\n\n", "it printed nothing"),
    ],
)
def test_the_last_line_is_the_error_itself(printed: str, words: str) -> None:
    assert last_words(printed) == words


def test_programs_run_where_the_page_lies() -> None:
    assert (HOUSE / "app.py").is_file()
