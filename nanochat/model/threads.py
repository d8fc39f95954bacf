"""In which thread a model computes: on a processor this decides how fast.

torch divides a matrix product among the cores with OpenMP, which gives each thread that computes helpers of its own.
As long as all of them fit on the cores, helpers stand by between two products. Once there are more, even idle ones,
all go to sleep instead, and waking them takes as long as a small product: the embedded model then answers at half its
speed. So one thread makes all steps of all models, and whatever else computes does so in a thread that ends, and whose
helpers end with it.

Nor may that thread wait long for Python itself. Between two operations another thread may take the interpreter, which
it gives back after five milliseconds: several steps of a small model.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import cache, wraps
from threading import Thread
from typing import ParamSpec, TypeVar

Given = ParamSpec("Given")
Result = TypeVar("Result")


# Of the interpreter, while others wait. Shorter turns bring nothing more.
TURN_SECONDS = 0.0005


def take_short_turns() -> None:
    """Let a thread that waits for the interpreter get it after half a millisecond; for programs that serve a page."""
    sys.setswitchinterval(TURN_SECONDS)


def in_step_thread(function: Callable[Given, Result], *args: Given.args, **kwargs: Given.kwargs) -> Result:
    """Call the function in the thread that makes all steps, after whatever is under way there."""
    step = step_thread().submit(function, *args, **kwargs)
    try:
        return step.result()
    except BaseException:
        # Whoever is interrupted here must not leave a step behind that goes on beside the next.
        wait((step,))
        raise


def step_thread() -> ThreadPoolExecutor:
    """Return the executor whose only thread makes all steps."""
    return _executor(os.getpid())


def apart(function: Callable[Given, Result]) -> Callable[Given, Result]:
    """Let every call of the function run in a thread that ends with it; its result or its error comes back."""

    @wraps(function)
    def call(*args: Given.args, **kwargs: Given.kwargs) -> Result:
        outcome: Future[Result] = Future()
        # A daemon, so that a program that is interrupted while it loads a model does not load it to the end.
        thread = Thread(target=_settle, args=(outcome, lambda: function(*args, **kwargs)), daemon=True)
        thread.start()
        thread.join()
        return outcome.result()

    return call


def _settle(outcome: Future[Result], function: Callable[[], Result]) -> None:
    try:
        outcome.set_result(function())
    except BaseException as error:  # noqa: BLE001 - raised again where the call was made
        outcome.set_exception(error)


@cache
def _executor(_process: int) -> ThreadPoolExecutor:
    """Return one executor for each process: one that was forked has none of its parent's threads."""
    return ThreadPoolExecutor(1, "model")
