"""What the verb bench does: models, figures and rounds in, one table out.

Progress goes to standard error and the table to standard output; a figure is printed whether it is flattering or not.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias

import torch
import transformers
from transformers.utils import logging

from nanochat.bench.answering import answering_rows
from nanochat.bench.cancelling import cancelling_rows
from nanochat.bench.crowd import crowd_rows
from nanochat.bench.inside import inside_rows
from nanochat.bench.page import page_rows
from nanochat.bench.pairs import Progress
from nanochat.bench.process import process_rows
from nanochat.bench.subjects import SHAPES, Shape
from nanochat.bench.table import Row, as_json, as_text, cells
from nanochat.bench.trial import Trial, prepare
from nanochat.bench.turns import turns_rows
from nanochat.errors import BenchError
from nanochat.model.placing import choose_device

Apart: TypeAlias = Callable[[Shape, str, int, Progress], list[Row]]
Together: TypeAlias = Callable[[Trial], list[Row]]

# Those measured on programs of their own come first, before this process fills the memory with models.
APART: Mapping[str, Apart] = MappingProxyType({"process": process_rows, "page": page_rows})
TOGETHER: Mapping[str, Together] = MappingProxyType(
    {
        "answer": answering_rows,
        "crowd": crowd_rows,
        "turns": turns_rows,
        "inside": inside_rows,
        "cancel": cancelling_rows,
    }
)
FIGURES = (*APART, *TOGETHER)
# The page serves what is embedded. A click on a d32 is no goal of anybody's, and what a cancel costs is no matter of
# the size.
ONLY_FOR: Mapping[str, frozenset[str]] = MappingProxyType(
    {"page": frozenset({"embedded"}), "inside": frozenset({"embedded", "d20"}), "cancel": frozenset({"embedded"})}
)


def bench_command(model: str, device: str, rounds: int, only: Sequence[str], json_file: Path | None) -> None:
    """Measure and print the table, and write it as JSON where a file is given. Raises NanoChatError."""
    if rounds < 1:
        raise BenchError("There must be at least one of the rounds.")
    if unknown := [name for name in only if name not in FIGURES]:
        raise BenchError(f"There is no figure {unknown[0]}: the figures are {', '.join(FIGURES)}.")
    place = choose_device(device)
    logging.set_verbosity_error()
    shapes = SHAPES.values() if model == "all" else [SHAPES[model]]
    rows = []
    for shape in shapes:
        for row in measured(shape, str(place), rounds, only or FIGURES, _tell):
            # Whoever interrupts a long bench has seen what was measured until then.
            _tell("  ".join(cells(row)).rstrip())
            rows.append(row)
    print(heading(place))
    print(as_text(rows))
    if json_file:
        _write(json_file, as_json(rows, facts(place)))


def measured(shape: Shape, device: str, rounds: int, figures: Sequence[str], progress: Progress) -> Iterator[Row]:
    """Yield the rows of one model, of the figures that are asked for and that it has."""
    wanted = [name for name in FIGURES if name in figures and shape.name in ONLY_FOR.get(name, {shape.name})]
    for name in wanted:
        if name in APART:
            yield from APART[name](shape, device, rounds, progress)
    if any(name in TOGETHER for name in wanted):
        trial = prepare(shape, device, rounds, progress)
        for name in wanted:
            if name in TOGETHER:
                yield from TOGETHER[name](trial)


def heading(device: torch.device) -> str:
    """Return what the figures depend on beside the program, and how to read them, in a line."""
    known = facts(device)
    return (
        f"{known['device']}, {known['threads']} threads; torch {known['torch']}, transformers {known['transformers']}. "
        "Medians of rounds in turns; a ratio says how many times better ours is."
    )


def facts(device: torch.device) -> dict[str, Any]:
    """Return what the figures depend on beside the program."""
    return {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }


def _tell(what: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {what}", file=sys.stderr, flush=True)


def _write(target: Path, text: str) -> None:
    try:
        target.write_text(text + "\n")
    except OSError as error:
        raise BenchError(f"The figures cannot be written to {target}: {error.strerror}.") from error
