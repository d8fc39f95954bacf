"""Every error this project raises on purpose; `str(error)` is fit to show a user.

NanoChatError
├── InvalidMessageError      a conversation that cannot be taken as it is
├── InvalidSettingError      a sampling setting of the wrong type or out of range
├── ContextFullError         a prompt longer than the model reads
├── BusyError                too many requests at once
├── SettingsError            an environment variable with a value that is not allowed
├── CheckpointError          a model that cannot be loaded
├── ModelOutputError         numbers from the model that no token can be chosen from
├── LensError                a token that cannot be looked at: there is none, or the model has no such layer
├── RecipeError              training text that is missing or not in the form the recipe reads
├── BenchError               a measurement that would compare nothing
└── GPUError                 no GPU from ZeroGPU, for whatever reason
    ├── GPUQuotaError        more GPU time than this visitor may use
    ├── GPUBusyError         no GPU free in time
    └── GPULostError         a GPU that went away before the answer was complete
"""

from __future__ import annotations


class NanoChatError(Exception):
    """The base of every error raised on purpose; its text names the limit or the remedy."""


class InvalidMessageError(NanoChatError):
    """A message or a list of messages that cannot be taken as it is."""


class InvalidSettingError(NanoChatError):
    """A sampling setting of the wrong type or out of its range."""

    def __init__(self, name: str, allowed: str) -> None:
        super().__init__(f"{name} must be {allowed}.")
        self.name = name


class ContextFullError(NanoChatError):
    """The prompt has more tokens than the model can attend to."""

    def __init__(self, needed: int, limit: int) -> None:
        super().__init__(f"This chat needs {needed} tokens but the model reads {limit}: shorten it or start a new one.")
        self.needed = needed
        self.limit = limit


class BusyError(NanoChatError):
    """More requests at once than the limits allow."""


class SettingsError(NanoChatError):
    """An environment variable holds a value that is not allowed."""


class CheckpointError(NanoChatError):
    """A model that cannot be loaded: not found, not reachable, damaged or of a foreign kind."""


class ModelOutputError(NanoChatError):
    """The model answered with infinite or undefined numbers: its weights or its precision are at fault."""

    def __init__(self) -> None:
        super().__init__("The model's output is not finite: its weights are damaged or its precision is too low.")


class LensError(NanoChatError):
    """A place in a text or in the model that cannot be looked at, because it does not exist."""


class RecipeError(NanoChatError):
    """Training text that is missing, damaged or not in the form the recipe reads."""


class BenchError(NanoChatError):
    """A measurement whose two sides did not do the same, or that cannot be made here."""


class GPUError(NanoChatError):
    """ZeroGPU lent no GPU for the answer, or took it back; the text says what the visitor can do."""


class GPUQuotaError(GPUError):
    """The answer asks for more GPU time than this visitor may use."""


class GPUBusyError(GPUError):
    """No GPU became free in time."""


class GPULostError(GPUError):
    """The GPU went away before the answer was complete; what came until then is good."""
