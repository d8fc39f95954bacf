"""The models that a page offers: each is loaded when somebody chooses it, as many at once as memory allows.

A loaded model serves everybody; which one a visitor talks to is the visitor's own choice. Loads come one after another,
and one that fails changes nothing for the rest. Where a newcomer does not fit beside the others, the one that was used
longest ago is dropped, but never while it answers: the newcomer waits until one is idle. So an answer ends on the model
it began with.
"""

from __future__ import annotations

import gc
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from functools import partial
from typing import Generic, Protocol, TypeAlias, TypeVar

from nanochat.errors import CheckpointError, InvalidSettingError
from nanochat.ui.loading import Dropped, Failed, Loading, ModelLoader, Progress


class Held(Protocol):
    """What must be known of a loaded model to decide which one makes room."""

    @property
    def size_bytes(self) -> int: ...

    @property
    def answering(self) -> bool: ...


Loaded = TypeVar("Loaded", bound=Held)
# Called with the bytes that a model needs, before it takes them.
MakeRoom: TypeAlias = Callable[[int], None]
Load: TypeAlias = Callable[[Progress, MakeRoom], Loaded]

# Whoever waited for a model has this long to ask it something before it may be dropped again.
GRACE_SECONDS = 5.0
# A load waits no longer for an idle model than a visitor does for an answer.
ROOM_SECONDS = 120.0
WAIT_SECONDS = 0.1
# Choices are a few bytes each; the oldest visitors have long left.
MOST_SESSIONS = 10_000


class Models(Generic[Loaded]):
    """Models by name, the first being everybody's until they choose. Safe to use from many threads.

    A `session` names a visitor, without one it is nobody's choice that counts; a `name` goes before any choice.
    """

    def __init__(
        self, loads: Mapping[str, Load[Loaded]], most_bytes: float | None = None, grace_seconds: float = GRACE_SECONDS
    ) -> None:
        """`most_bytes` is what loaded models may take together; None is no limit."""
        self.names = tuple(loads)
        self._loaders = {name: ModelLoader(partial(self._load, name, load)) for name, load in loads.items()}
        self._most_bytes = most_bytes
        self._grace_seconds = grace_seconds
        self._used_at = dict.fromkeys(self.names, 0.0)
        self._turn = threading.Lock()
        self._choices: OrderedDict[str, str] = OrderedDict()

    def start(self, session: str = "") -> None:
        """Load the visitor's model beside the caller; does nothing while it is loaded or being loaded."""
        self._loaders[self.chosen(session)].start()

    def load_here(self) -> None:
        """Load the first model in the caller's thread, once and for all; see ModelLoader."""
        self._loaders[self.names[0]].load_here()

    def chosen(self, session: str = "") -> str:
        """Return the name of the visitor's model."""
        return self._choices.get(session, self.names[0])

    def choose(self, session: str, name: object) -> None:
        """Give the visitor another model, and begin to load it. Raises InvalidSettingError for one not on offer."""
        self._choices[session] = self._checked(name)
        self._choices.move_to_end(session)
        while len(self._choices) > MOST_SESSIONS:
            self._choices.popitem(last=False)
        self.start(session)

    def status(self, session: str = "", name: str = "") -> Loading | Failed | Dropped | Loaded:
        """Return the model, or how far it has come, or why there is none. Asks for nothing: no load begins by it."""
        return self._loaders[self._meant(session, name)].status

    def wait(self, seconds: float, session: str = "", name: str = "") -> bool:
        """Wait at most so long, having the model loaded again if it was dropped; return whether loading is over."""
        loader = self._loaders[self._meant(session, name)]
        if isinstance(loader.status, Loading | Dropped):
            loader.start()
        return loader.wait(seconds)

    def loaded(self, session: str = "", name: str = "") -> Loaded:
        """Return the model, waiting for it if need be.

        Raises CheckpointError when it cannot be had and InvalidSettingError when it is not on offer.
        """
        meant = self._meant(session, name)
        self._used_at[meant] = time.monotonic()
        self.wait(0, name=meant)
        model = self._loaders[meant].loaded()
        self._used_at[meant] = time.monotonic()
        return model

    def _meant(self, session: str, name: object) -> str:
        return self._checked(name) if name else self.chosen(session)

    def _checked(self, name: object) -> str:
        if not isinstance(name, str) or name not in self._loaders:
            raise InvalidSettingError("model", " or ".join(self.names))
        return name

    def _load(self, name: str, load: Load[Loaded], progress: Progress) -> Loaded:
        if self._turn.locked():
            progress("Waiting for another model to be loaded", 0.0)
        with self._turn:
            model = load(progress, partial(self._make_room, name, progress))
            self._used_at[name] = time.monotonic()
            return model

    def _make_room(self, name: str, progress: Progress, needed_bytes: int) -> None:
        """Drop others until a model fits beside the rest. Raises CheckpointError when it never will."""
        if self._most_bytes is None:
            return
        if needed_bytes > self._most_bytes:
            raise CheckpointError(
                f"It takes {needed_bytes / 1e9:,.1f} GB with its keys and values, more than the "
                f"{self._most_bytes / 1e9:,.1f} GB of NANOCHAT_MODELS_GIGABYTES."
            )
        give_up_at = time.monotonic() + ROOM_SECONDS
        while self._held_bytes(name) + needed_bytes > self._most_bytes:
            if self._drop_one(name):
                continue
            if time.monotonic() > give_up_at:
                raise CheckpointError("There is no room for it while the other models answer: try again in a minute.")
            progress("Waiting for another model to end its answers", 0.0)
            time.sleep(WAIT_SECONDS)

    def _others(self, name: str) -> dict[str, Loaded]:
        """Return the other models that are loaded."""
        statuses = {other: loader.status for other, loader in self._loaders.items() if other != name}
        return {other: now for other, now in statuses.items() if not isinstance(now, Loading | Failed | Dropped)}

    def _held_bytes(self, name: str) -> int:
        return sum(model.size_bytes for model in self._others(name).values())

    def _drop_one(self, name: str) -> bool:
        """Drop the other model that was used longest ago, if one is idle."""
        before = time.monotonic() - self._grace_seconds
        idle = [
            other
            for other, model in self._others(name).items()
            if not model.answering and self._used_at[other] <= before
        ]
        if not idle:
            return False
        self._loaders[min(idle, key=self._used_at.__getitem__)].drop()
        # A model is full of references in circles, which only the collector finds.
        gc.collect()
        return True
