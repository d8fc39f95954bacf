"""Many models, little memory: which are loaded, which make room, and what a visitor sees of it."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from nanochat.errors import CheckpointError, InvalidSettingError
from nanochat.ui.loading import Dropped, Failed, Loading
from nanochat.ui.models import Load, MakeRoom, Models, Progress

PATIENCE_SECONDS = 20.0


@dataclass(eq=False)
class Weights:
    """A model as far as memory goes; like a real one it holds references in a circle."""

    name: str
    size_bytes: int = 10
    answering: bool = False
    circle: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.circle.append(self)


def loads(*names: str, size_bytes: int = 10, seen: list[str] | None = None) -> dict[str, Load[Weights]]:
    """Loads that ask for room and succeed, in the order of `seen`."""

    def load_of(name: str) -> Load[Weights]:
        def load(progress: Progress, make_room: MakeRoom) -> Weights:
            make_room(size_bytes)
            if seen is not None:
                seen.append(name)
            return Weights(name, size_bytes)

        return load

    return {name: load_of(name) for name in names}


def until(happened: Callable[[], bool]) -> None:
    """Wait for another thread."""
    waiting = threading.Event()
    for _ in range(int(PATIENCE_SECONDS / 0.01)):
        if happened():
            return
        waiting.wait(0.01)
    raise AssertionError("it did not happen")


def held(models: Models[Weights]) -> list[str]:
    """The names of the models that are loaded."""
    found = []
    for name in models.names:
        models._choices["probe"] = name
        if isinstance(models.status("probe"), Weights):
            found.append(name)
    del models._choices["probe"]
    return found


def test_the_first_model_is_everybodys_until_they_choose() -> None:
    models = Models(loads("a", "b"))
    models.start()
    assert models.loaded("one").name == "a"
    models.choose("one", "b")
    assert (models.loaded("one").name, models.loaded("two").name, models.loaded().name) == ("b", "a", "a")
    assert models.loaded("one", "a").name == "a"
    assert (models.chosen("one"), models.chosen("two")) == ("b", "a")


@pytest.mark.parametrize("name", ["c", "", None, 5, ["a"]])
def test_a_model_that_is_not_on_offer_is_refused_with_those_that_are(name: Any) -> None:
    models = Models(loads("a", "b"))
    with pytest.raises(InvalidSettingError, match="model must be a or b"):
        models.choose("one", name)
    assert models.chosen("one") == "a"


def test_only_what_is_asked_for_is_loaded_and_only_once() -> None:
    seen: list[str] = []
    models = Models(loads("a", "b", "c", seen=seen))
    for session in ("one", "two"):
        models.choose(session, "b")
        models.loaded(session)
    assert seen == ["b"]


def test_the_one_that_was_used_longest_ago_makes_room_and_comes_back_when_it_is_asked() -> None:
    seen: list[str] = []
    models = Models(loads("a", "b", "c", seen=seen), most_bytes=25, grace_seconds=0)
    for name in ("a", "b", "a", "c"):
        models.loaded(name=name)
    assert held(models) == ["a", "c"]
    models.choose("one", "b")
    assert models.loaded("one").name == "b"
    assert held(models) == ["b", "c"]
    assert isinstance(models.status(), Dropped)
    assert seen == ["a", "b", "c", "b"]


def test_memory_is_free_before_the_newcomer_takes_any() -> None:
    """A model is full of circles, which are not freed by letting go of it."""
    gone: list[bool] = []

    def second(progress: Progress, make_room: MakeRoom) -> Weights:
        make_room(20)
        gone.append(first() is None)
        return Weights("b", 20)

    models = Models(loads("a") | {"b": second}, most_bytes=25, grace_seconds=0)
    first = weakref.ref(models.loaded())
    models.loaded(name="b")
    assert gone == [True]


def test_without_a_limit_nothing_is_dropped() -> None:
    models = Models(loads("a", "b", "c"), grace_seconds=0)
    for name in models.names:
        models.loaded(name=name)
    assert held(models) == ["a", "b", "c"]


def test_a_model_that_answers_is_not_dropped_and_the_newcomer_waits_for_it() -> None:
    models = Models(loads("a", "b"), most_bytes=15, grace_seconds=0)
    first = models.loaded()
    first.answering = True
    models.choose("one", "b")
    until(lambda: models.status("one") == Loading("Waiting for another model to end its answers", 0.0))
    assert models.loaded() is first
    first.answering = False
    assert models.loaded("one").name == "b"
    assert held(models) == ["b"]


def test_whoever_waited_for_a_model_has_a_moment_to_ask_it_something() -> None:
    models = Models(loads("a", "b"), most_bytes=15, grace_seconds=0.3)
    first = models.loaded()
    models.choose("one", "b")
    until(lambda: models.status("one") == Loading("Waiting for another model to end its answers", 0.0))
    assert models.status() is first
    assert models.loaded("one").name == "b"


def test_models_are_loaded_one_after_another() -> None:
    running, most, go_on = [0], [0], threading.Event()

    def load(progress: Progress, make_room: MakeRoom) -> Weights:
        running[0] += 1
        most[0] = max(most[0], running[0])
        progress("Reading", 0.5)
        assert go_on.wait(PATIENCE_SECONDS)
        running[0] -= 1
        return Weights("")

    models = Models(dict.fromkeys("abc", load))
    for name in models.names:
        models.choose(name, name)
    until(lambda: sum(models.status(name) == Loading("Reading", 0.5) for name in models.names) == 1)
    waiting = Loading("Waiting for another model to be loaded", 0.0)
    until(lambda: sum(models.status(name) == waiting for name in models.names) == 2)
    go_on.set()
    for name in models.names:
        models.loaded(name)
    assert most == [1]


def test_a_load_that_fails_leaves_the_others_as_they_are_and_can_be_tried_again() -> None:
    outcomes: list[Exception | None] = [CheckpointError("The Hub refused."), None]

    def load(progress: Progress, make_room: MakeRoom) -> Weights:
        if error := outcomes.pop(0):
            raise error
        make_room(10)
        return Weights("b")

    models = Models(loads("a") | {"b": load}, most_bytes=15, grace_seconds=0)
    first = models.loaded()
    models.choose("one", "b")
    with pytest.raises(CheckpointError, match="The Hub refused"):
        models.loaded("one")
    assert models.status("one") == Failed("The Hub refused.")
    assert models.loaded("two") is first
    # Only "Try again" tries again.
    assert models.wait(0, "one")
    assert isinstance(models.status("one"), Failed)
    models.start("one")
    assert models.loaded("one").name == "b"


def test_a_model_that_fits_alone_no_more_is_refused_before_anything_is_dropped() -> None:
    models = Models(loads("a") | loads("b", size_bytes=3_000_000_000), most_bytes=2e9, grace_seconds=0)
    first = models.loaded()
    with pytest.raises(CheckpointError, match=r"takes 3\.0 GB .* more than the 2\.0 GB of NANOCHAT_MODELS_GIGABYTES"):
        models.loaded(name="b")
    assert models.loaded() is first


def test_choices_of_visitors_who_have_left_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nanochat.ui.models.MOST_SESSIONS", 3)
    models = Models(loads("a", "b"))
    for session in "stuvw":
        models.choose(session, "b")
    assert [models.chosen(session) for session in "stuvw"] == ["a", "a", "b", "b", "b"]
