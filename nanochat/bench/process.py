"""A model in a process of its own: how soon it answers from a cold start, how soon once warm, and the memory it takes.

Run as a program, this module is that process: it makes one model, answers twice and prints a line of JSON.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import torch
import transformers
from torch import nn

from nanochat.bench.memory import peak_bytes, resident_bytes
from nanochat.bench.pairs import Progress, in_turns
from nanochat.bench.programs import HOUSE, last_words
from nanochat.bench.questions import question
from nanochat.bench.sides import OurSide, Side, TransformersSide, local_engine, rival_side
from nanochat.bench.subjects import PRECISIONS, Shape, lay_out, make_subject, type_name
from nanochat.bench.table import Row, compared
from nanochat.chat.template import ChatTemplate
from nanochat.errors import BenchError
from nanochat.model.source import EMBEDDED, LocalSource, parse_source

SLOTS = 4
ANSWER_TOKENS = 8
OURS, RIVAL = "ours", "transformers"


@dataclass(frozen=True, slots=True)
class Job:
    """What the process is to do, in values that JSON can carry. started: the moment it was asked for, of time.time."""

    side: str
    precision: str
    device: str
    started: float
    name: str
    source: str | None
    hidden_size: int
    layers: int
    heads: int
    vocabulary: int

    @property
    def shape(self) -> Shape:
        return Shape(self.name, self.source, self.hidden_size, self.layers, self.heads, self.vocabulary)


@dataclass(frozen=True, slots=True)
class Life:
    """What the process tells of itself: seconds from its start, and from its second question, to a first token."""

    cold_seconds: float
    warm_seconds: float
    resident_bytes: int
    peak_bytes: int


def process_rows(shape: Shape, device: str, rounds: int, progress: Progress) -> list[Row]:
    """Start a process for each side, in turns where time is measured; memory is the same every time."""
    loaded = type_name(shape.rival_types[0])
    if shape.source:
        sides: dict[str, Callable[[int], Life]] = {
            OURS: lambda _: live(shape, OURS, loaded, device),
            RIVAL: lambda _: live(shape, RIVAL, loaded, device),
        }
        lives = in_turns(sides, rounds, progress)
        return start_rows(f"{shape.name} {loaded}", loaded, lives[OURS], lives[RIVAL])
    rows = []
    progress(f"{RIVAL} {shape.name} in a process of its own")
    rival = live(shape, RIVAL, loaded, device)
    for precision in (loaded, *PRECISIONS):
        progress(f"ours {shape.name} {precision} in a process of its own")
        rows += memory_rows(f"{shape.name} {precision}", loaded, [live(shape, OURS, precision, device)], [rival])
    return rows


def start_rows(name: str, rival_type: str, ours: Sequence[Life], theirs: Sequence[Life]) -> list[Row]:
    """Return the rows of a model that is read from a folder: starts and memory."""
    rival = f"{RIVAL} {rival_type}"
    figures = (("cold start to first token", "cold_seconds"), ("warm start to first token", "warm_seconds"))
    return [
        *(
            compared(
                (name, figure, "s"),
                [getattr(life, field) for life in ours],
                rival,
                [getattr(life, field) for life in theirs],
                less_is_better=True,
            )
            for figure, field in figures
        ),
        *memory_rows(name, rival_type, ours, theirs),
    ]


def memory_rows(name: str, rival_type: str, ours: Sequence[Life], theirs: Sequence[Life]) -> list[Row]:
    """Return the rows of the memory a process takes, libraries included: after an answer, and at most."""
    figures = (("memory after an answer", "resident_bytes"), ("memory at its peak", "peak_bytes"))
    return [
        compared(
            (name, figure, "MB"),
            [getattr(life, field) / 1e6 for life in ours],
            f"{RIVAL} {rival_type}",
            [getattr(life, field) / 1e6 for life in theirs],
            less_is_better=True,
        )
        for figure, field in figures
    ]


def live(shape: Shape, side: str, precision: str, device: str) -> Life:
    """Run this module as a program. Raises BenchError when it fails."""
    sizes = (shape.name, shape.source, shape.hidden_size, shape.layers, shape.heads, shape.vocabulary)
    job = Job(side, precision, device, time.time(), *sizes)
    command = [sys.executable, "-m", __spec__.name, json.dumps(asdict(job))]
    done = subprocess.run(command, cwd=HOUSE, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchError(f"The process of {side} {shape.name} failed: {last_words(done.stderr)}")
    return Life(**json.loads(done.stdout.splitlines()[-1]))


def _side(job: Job) -> tuple[Side, ChatTemplate, torch.device]:
    if job.side == RIVAL and job.source:
        return _rival_from_folder(job)
    subject = make_subject(job.shape, job.device)
    if job.side == RIVAL:
        return rival_side(subject, getattr(torch, job.precision)), subject.template, subject.model.device
    lay_out(subject.model, job.precision)
    return OurSide(local_engine(subject, SLOTS)), subject.template, subject.model.device


def _rival_from_folder(job: Job) -> tuple[Side, ChatTemplate, torch.device]:
    """Load the rival as its own documentation does."""
    source = parse_source(job.source or EMBEDDED)
    if not isinstance(source, LocalSource):
        raise BenchError("Only models of a folder are measured.")
    folder = str(source.folder)
    model = transformers.NanoChatForCausalLM.from_pretrained(folder, dtype=job.precision)
    nn.Module.to(model, job.device)
    tokenizer = transformers.PreTrainedTokenizerFast.from_pretrained(folder)
    template = ChatTemplate(tokenizer.backend_tokenizer)
    return TransformersSide(model, tokenizer, template, job.side), template, model.device


def main(argument: str) -> None:
    """Do the job and print what became of it."""
    job = Job(**json.loads(argument))
    side, template, device = _side(job)
    first = side.answer(question(template, 1), ANSWER_TOKENS)
    answered = time.time() - first.seconds + first.first_token_seconds
    second = side.answer(question(template, 2), ANSWER_TOKENS)
    life = Life(answered - job.started, second.first_token_seconds, resident_bytes(device), peak_bytes(device))
    print(json.dumps(asdict(life)))


if __name__ == "__main__":
    main(sys.argv[1])
