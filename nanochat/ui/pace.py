"""A model may write hundreds of tokens a second; a page needs a few dozen updates.

Each update repeats the answer so far, so leaving some out loses nothing as long as the last one goes through. The first
one goes at once: how soon an answer begins is what its reader feels most. Handing an update on is work on the same
processor that makes the next tokens, so where it takes long, as it does in the page of a fast model, there are fewer.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import closing
from typing import TypeVar

State = TypeVar("State")

UPDATES_PER_SECOND = 25
# What still looks like writing.
LEAST_UPDATES_PER_SECOND = 10
# Of the time, what handing on may take.
HANDING_ON_SHARE = 1 / 8


def paced(
    states: Generator[State, None, None],
    urgent: Callable[[State], bool] = lambda _state: False,
    *,
    interval_seconds: float = 1 / UPDATES_PER_SECOND,
    clock: Callable[[], float] = time.monotonic,
) -> Generator[State, None, None]:
    """Yield at most one state each interval, but always the first, every urgent one and the last.

    The interval grows with the time until the next state is asked for, to a tenth of a second at most.
    A state held back when the source fails comes out before the failure does. Closing this generator closes the source.
    """
    held: list[State] = []
    due = clock()
    with closing(states):
        try:
            for state in states:
                if clock() < due and not urgent(state):
                    held = [state]
                    continue
                held = []
                begun = clock()
                yield state
                handing_on = min((clock() - begun) / HANDING_ON_SHARE, 1 / LEAST_UPDATES_PER_SECOND)
                due = begun + max(interval_seconds, handing_on)
        except GeneratorExit:
            # Nobody listens any more: the `finally` below must not speak.
            held = []
            raise
        finally:
            yield from held
