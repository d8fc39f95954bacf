"""One thread makes the steps, everything else computes in threads that end, and neither changes what comes back."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from nanochat.model.threads import apart, in_step_thread, take_short_turns


def where() -> threading.Thread:
    return threading.current_thread()


def divide(one: int, *, by: int) -> float:
    return one / by


def test_steps_are_made_in_one_thread_whoever_asks() -> None:
    with ThreadPoolExecutor(4) as callers:
        threads = {*callers.map(lambda _: in_step_thread(where), range(16)), in_step_thread(where)}
    assert len(threads) == 1
    assert where() not in threads


def test_a_thread_apart_ends_with_its_call() -> None:
    first, second = apart(where)(), apart(where)()
    assert len({first, second, where()}) == 3
    assert not first.is_alive()
    assert not second.is_alive()


@pytest.mark.parametrize("call", [apart(divide), lambda *args, **kwargs: in_step_thread(divide, *args, **kwargs)])
def test_results_and_errors_come_back(call: Callable[..., float]) -> None:
    assert call(3, by=2) == 1.5
    with pytest.raises(ZeroDivisionError):
        call(3, by=0)
    assert call(1, by=1) == 1


def test_a_forked_process_has_a_step_thread_of_its_own() -> None:
    assert in_step_thread(os.getpid) == os.getpid()
    child = os.fork()
    if not child:
        # Without a thread of its own it would wait for ever for its parent's.
        os._exit(in_step_thread(os.getpid) != os.getpid())
    assert os.waitpid(child, 0)[1] == 0


@pytest.fixture
def busy_neighbour() -> Iterator[None]:
    """A thread that never lets go of the interpreter by itself, in turns as long as Python makes them."""
    over = threading.Event()
    turn = sys.getswitchinterval()
    sys.setswitchinterval(0.005)

    def work() -> None:
        while not over.is_set():
            pass

    thread = threading.Thread(target=work)
    thread.start()
    yield
    over.set()
    thread.join()
    sys.setswitchinterval(turn)


def test_with_short_turns_a_busy_neighbour_is_waited_for_less(busy_neighbour: None) -> None:
    def waited() -> float:
        """Let go of the interpreter as often as one token does, and ask for it again."""
        begun = time.perf_counter()
        for _ in range(50):
            time.sleep(0)
        return time.perf_counter() - begun

    before = waited()
    take_short_turns()
    assert waited() < before / 2
