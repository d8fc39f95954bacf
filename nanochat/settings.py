"""What can be set from outside, each by an environment variable: NANOCHAT_ and the name of the field.

Nothing else in the project reads the environment. A value that is not allowed, or a variable that does not exist, is
refused when the program starts, with the allowed ones named: a misspelt limit must not be no limit.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from nanochat.errors import CheckpointError, SettingsError
from nanochat.model.quantization import QUANTIZATIONS
from nanochat.model.source import ALLOWED, ALLOWED_LIST, EMBEDDED, NamedSource, parse_source, parse_sources

if TYPE_CHECKING:
    from nanochat.model.fast_step import Stepping

PREFIX = "NANOCHAT_"
# karpathy/nanochat's own variable, common.py: whoever trains with it has it set.
FOREIGN = frozenset({"NANOCHAT_BASE_DIR"})


@dataclass(frozen=True, slots=True)
class Settings:
    """Every setting with its default."""

    # In the repository, so that the first start needs no network and no account.
    model: str = EMBEDDED
    # Models that a visitor chooses among, `Name=source` separated by commas. None: there is nothing to choose.
    models: str = ""
    # What the loaded ones of them may take together, keys and values of all slots included: the free machine of a Space
    # has 16 GB, and Python, torch and the page take two of them. A single model is not held to it.
    models_gigabytes: float = 12.0
    # The fastest there is: CUDA, else Apple's GPU, else the processor. "all" lays the layers over all GPUs.
    device: str = "auto"
    # What decodes fastest on the device without losing accuracy that shows; see checkpoint.py.
    dtype: str = "auto"
    # Matrices in 8 or 4 bits. Left to itself int8 on a processor: one and a half times the speed or more, and an
    # accuracy that differs in the fourth digit; see placing.py.
    quantize: str = "auto"
    # Whether the step of decoding is compiled, which takes its time at the start and a compiler that a Space may lack.
    # Not on ZeroGPU.
    compile: bool = False
    # 0 leaves the number of threads to torch, which takes one for each physical core.
    threads: int = 0
    # Requests that are answered at once. Each slot costs keys and values for a whole context, so more need more memory;
    # on two cores four answers still move faster than people read.
    slots: int = 4
    # Requests that may wait for a slot. With 4 slots and 10 s an answer, the last of 32 waits 80 s; a longer queue
    # only tells people later that they will not be served.
    queue: int = 32
    # The longest an answer may take, waiting included; then it ends as it is. A browser tab left open must not hold
    # a slot, and 120 s is what a patient reader waits.
    deadline_seconds: float = 120.0
    # The GPU seconds one answer may ask ZeroGPU for; a longer one ends there and can be continued. A visitor without an
    # account has 120 of them a day, and some hardware counts one and a half for each.
    gpu_seconds: int = 60
    # Requests of one browser session that may run or wait at once: the chat, and one retry clicked before it has ended.
    requests_per_session: int = 2

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None, **options: str | None) -> Settings:
        """Read the settings; an empty value counts as unset, as Docker Compose writes unset variables.

        `options` are named by field, as a command line gives them; one that is not None wins over the environment.
        Raises SettingsError, which names the variable and what is allowed.
        """
        environment = {**(os.environ if environment is None else environment)}
        environment |= {PREFIX + name.upper(): value for name, value in options.items() if value is not None}
        known = {PREFIX + field.name.upper(): field.name for field in fields(cls)}
        given = {name: value for name, value in environment.items() if name.startswith(PREFIX)}
        unknown = sorted(given.keys() - known.keys() - FOREIGN)
        if unknown:
            raise SettingsError(f"{unknown[0]} is not a setting. The settings are {', '.join(sorted(known))}.")
        values: dict[str, Any] = {
            known[name]: _read(name, value.strip()) for name, value in given.items() if name in known and value.strip()
        }
        if "models" in values and "model" not in values:
            values["model"] = parse_sources(values["models"])[0].source
        return cls(**values)

    @property
    def stepping(self) -> Stepping:
        """How an engine decodes."""
        return "compiled" if self.compile else "recorded"

    @property
    def choices(self) -> tuple[NamedSource, ...]:
        """The models on offer, first the one that a visitor meets: `model`, in the list or not."""
        listed = parse_sources(self.models) if self.models else ()
        first = [each for each in listed if each.source == self.model][:1] or [NamedSource(self.model, self.model)]
        return (*first, *(each for each in listed if each not in first))


def use_huge_pages() -> None:
    """Let tensors of 2 MB and more lie on huge pages of memory, unless the environment says otherwise.

    Linux gives memory in pages of 4 kB, or of 2 MB to a program that asks. A product over weights on small pages spends
    a sixth of its time on looking up where the next page lies. torch asks where a variable of its own says so:
    https://github.com/pytorch/pytorch/commit/5a4f1363409f70865634332c0b5284555ea1cb24
    It looks once, when it makes its first tensor: call this before. Where a system has no such pages, or gives them to
    everybody, nothing changes.
    """
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")


def environment_for(**variables: str) -> dict[str, str]:
    """Return the environment of a program that is started from here: this one's with the variables that are given, and
    without what was set for this program or for its page.
    """
    inherited = {name: value for name, value in os.environ.items() if not name.startswith((PREFIX, "GRADIO_"))}
    return inherited | variables


@dataclass(frozen=True, slots=True)
class _Kind:
    """How a setting is read, and what it may be, in words. `read` raises ValueError for anything else."""

    allowed: str
    read: Callable[[str], str | int | float]


def _one_of(*names: str) -> _Kind:
    def read(text: str) -> str:
        if text.lower() not in names:
            raise ValueError(text)
        return text.lower()

    return _Kind(f"{', '.join(names[:-1])} or {names[-1]}", read)


def _between(lowest: float, highest: int, number: type[int] | type[float]) -> _Kind:
    def read(text: str) -> int | float:
        value = number(text)
        # Written so that NaN fails too.
        if not lowest <= value <= highest:
            raise ValueError(text)
        return value

    return _Kind(f"a {'whole ' if number is int else ''}number from {lowest:,} to {highest:,}", read)


def _truth(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError(text)
    return text.lower() == "true"


def _device(text: str) -> str:
    if not re.fullmatch(r"auto|all|cpu|mps|cuda(:\d{1,3})?", text.lower()):
        raise ValueError(text)
    return text.lower()


def _model(text: str) -> str:
    try:
        parse_source(text)
    except CheckpointError as error:
        raise ValueError(text) from error
    return text


def _models(text: str) -> str:
    try:
        parse_sources(text)
    except CheckpointError as error:
        raise ValueError(text) from error
    return text


_KINDS = {
    "model": _Kind(ALLOWED, _model),
    "models": _Kind(ALLOWED_LIST, _models),
    "models_gigabytes": _between(0.1, 100_000, float),
    "device": _Kind("auto, cpu, cuda, cuda:N, mps or all", _device),
    "dtype": _one_of("auto", "float32", "bfloat16", "float16"),
    "quantize": _one_of("auto", *QUANTIZATIONS),
    "compile": _Kind("true or false", _truth),
    "threads": _between(0, 1024, int),
    "slots": _between(1, 256, int),
    "queue": _between(0, 10_000, int),
    "deadline_seconds": _between(1, 86_400, float),
    "gpu_seconds": _between(5, 600, int),
    "requests_per_session": _between(1, 256, int),
}


def _read(name: str, value: str) -> str | int | float:
    kind = _KINDS[name.removeprefix(PREFIX).lower()]
    try:
        return kind.read(value)
    except ValueError as error:
        raise SettingsError(f"{name} is {value[:200]!r}, but must be {kind.allowed}.") from error
