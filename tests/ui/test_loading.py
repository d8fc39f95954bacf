"""The page is there before the model is."""

from __future__ import annotations

import threading

import pytest

from nanochat.errors import CheckpointError
from nanochat.ui.loading import Dropped, Failed, Loading, ModelLoader, Progress


def test_starting_returns_at_once_and_progress_is_told() -> None:
    reported, go_on = threading.Event(), threading.Event()

    def load(progress: Progress) -> str:
        progress("Downloading", 0.25)
        reported.set()
        assert go_on.wait(10)
        return "model"

    loader = ModelLoader(load)
    loader.start()
    assert reported.wait(10)
    assert loader.status == Loading("Downloading", 0.25)
    assert not loader.wait(0)
    go_on.set()
    assert loader.loaded() == "model"
    assert loader.status == "model"


def test_a_failed_load_is_told_in_its_own_words_and_can_be_tried_again() -> None:
    outcomes = [CheckpointError("The Hub refused."), None]

    def load(progress: Progress) -> str:
        error = outcomes.pop(0)
        if error:
            raise error
        return "model"

    loader = ModelLoader(load)
    loader.start()
    with pytest.raises(CheckpointError, match="The Hub refused"):
        loader.loaded()
    assert loader.status == Failed("The Hub refused.")
    loader.start()
    assert loader.loaded() == "model"


def test_an_unforeseen_error_goes_to_the_log_and_ends_the_wait_in_other_words() -> None:
    def load(progress: Progress) -> str:
        raise OSError("/secret/path")

    loader = ModelLoader(load)
    with pytest.raises(OSError, match="secret"):
        loader.load_here()
    with pytest.raises(CheckpointError, match="log says why"):
        loader.loaded()


def test_starting_twice_loads_once() -> None:
    loads = []
    go_on = threading.Event()

    def load(progress: Progress) -> str:
        loads.append(True)
        assert go_on.wait(10)
        return "model"

    loader = ModelLoader(load)
    for _ in range(3):
        loader.start()
    go_on.set()
    loader.loaded()
    loader.start()
    assert loads == [True]


def test_loading_here_happens_in_the_calling_thread() -> None:
    loader = ModelLoader(lambda progress: threading.current_thread())
    loader.load_here()
    assert loader.status is threading.current_thread()


def test_what_the_main_thread_could_not_load_is_not_tried_again() -> None:
    """On ZeroGPU a later load, on another thread, would be there and never answer."""
    loads = []

    def load(progress: Progress) -> str:
        loads.append(True)
        raise CheckpointError("The Hub refused.")

    loader = ModelLoader(load)
    loader.load_here()
    assert loader.status == Failed("The Hub refused.", final=True)
    loader.start()
    assert loads == [True]
    assert loader.wait(0)


def test_a_dropped_model_is_let_go_and_loaded_again_when_it_is_wanted() -> None:
    loads = []

    def load(progress: Progress) -> str:
        loads.append(True)
        return "model"

    loader = ModelLoader(load)
    loader.drop()
    assert loader.status == Loading()
    loader.start()
    loader.loaded()
    loader.drop()
    assert loader.status == Dropped()
    assert not loader.wait(0)
    loader.start()
    assert loader.loaded() == "model"
    assert len(loads) == 2
