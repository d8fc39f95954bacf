"""Programs started from here, for what can only be measured from outside: where they run, and why they failed."""

from __future__ import annotations

from pathlib import Path

# Where app.py lies, and from where the package is found.
HOUSE = Path(__file__).parent.parent.parent


def last_words(printed: str) -> str:
    """Return the last line a program printed: of a traceback, the error itself."""
    lines = printed.strip().splitlines()
    return lines[-1] if lines else "it printed nothing"
