"""A model that is on its way: the page is there at once, and says how far the model has come.

Loading takes a second for the embedded model and many minutes for one that must be downloaded first. So it happens
beside the server, its outcome is kept here, and whoever needs the model asks for it: a question typed early waits, and
a load that failed is told and can be tried again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

from nanochat.errors import CheckpointError, NanoChatError

Loaded = TypeVar("Loaded")
Progress: TypeAlias = Callable[[str, float], None]

_UNEXPECTED = "The model could not be loaded; the server's log says why."


@dataclass(frozen=True, slots=True)
class Loading:
    """What is being done, and which share of it is done: from 0 to 1."""

    step: str = "Starting"
    share: float = 0.0


@dataclass(frozen=True, slots=True)
class Failed:
    """Why there is no model, in words for the visitor; after a `final` failure trying again is of no use."""

    reason: str
    final: bool = False


@dataclass(frozen=True, slots=True)
class Dropped:
    """The model made room for another one; whoever asks for it has it loaded again."""


class ModelLoader(Generic[Loaded]):
    """Loads one model, once, unless it fails and is asked for again. Safe to use from many threads."""

    def __init__(self, load: Callable[[Progress], Loaded]) -> None:
        self._load = load
        self._lock = threading.Lock()
        self._settled = threading.Event()
        self._running = self._final = False
        self.status: Loading | Failed | Dropped | Loaded = Loading()

    def start(self) -> None:
        """Load beside the caller; does nothing while loading or when the model is there."""
        with self._lock:
            if self._running or not self._startable():
                return
            self._running = True
            self._settled.clear()
            self.status = Loading()
        threading.Thread(target=self._run, name="model-loader", daemon=True).start()

    def load_here(self) -> None:
        """Load in the caller's thread, once and for all: on ZeroGPU only what the main thread loads reaches the GPU."""
        self._running = self._final = True
        self._run()

    def drop(self) -> None:
        """Let go of the model, if it is there; its memory is free once nobody uses it any more."""
        with self._lock:
            if not isinstance(self.status, Loading | Failed):
                self._settled.clear()
                self.status = Dropped()

    def wait(self, seconds: float) -> bool:
        """Wait at most so long; return whether loading is over, well or badly."""
        return self._settled.wait(seconds)

    def loaded(self) -> Loaded:
        """Return the model, waiting for it if need be. Raises CheckpointError when it cannot be had."""
        self._settled.wait()
        status = self.status
        if isinstance(status, Failed):
            raise CheckpointError(status.reason)
        if isinstance(status, Loading | Dropped):
            raise CheckpointError("The model is being loaded once more: try again in a moment.")
        return status

    def _startable(self) -> bool:
        status = self.status
        return isinstance(status, Loading | Dropped) or (isinstance(status, Failed) and not status.final)

    def _run(self) -> None:
        outcome: Failed | Loaded = Failed(_UNEXPECTED, self._final)
        try:
            outcome = self._load(self._report)
        except NanoChatError as error:
            outcome = Failed(str(error), self._final)
        finally:
            # An error nobody foresaw goes on to the log; the page must not wait for ever all the same.
            with self._lock:
                self.status, self._running = outcome, False
                self._settled.set()

    def _report(self, step: str, share: float) -> None:
        self.status = Loading(step, share)
