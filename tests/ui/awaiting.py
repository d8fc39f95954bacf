"""Coroutines run to their end, and pages drawn, in a thread with an event loop.

Where none runs, Gradio begins one for each page and never closes it, which ends in a warning.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import anyio

Result = TypeVar("Result")


def run(function: Callable[[], Awaitable[Result]]) -> Result:
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(anyio.run, function).result()


def built(make: Callable[[], Result]) -> Result:
    """Call what draws a page."""

    async def draw() -> Result:
        return make()

    return run(draw)
