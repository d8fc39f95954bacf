"""What every figure is given: the model in each precision with its engine, its rivals, and how many rounds to go."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from nanochat.bench.pairs import Progress
from nanochat.bench.sides import MOST_REQUESTS, TransformersSide, local_engine, rival_side
from nanochat.bench.subjects import PRECISIONS, Shape, Subject, make_subject, served
from nanochat.chat.engine import LocalEngine
from nanochat.model.threads import apart


@dataclass(frozen=True, slots=True, eq=False)
class Ours:
    """The model in one precision, and the engine that answers with it."""

    subject: Subject
    engine: LocalEngine


@dataclass(frozen=True, slots=True, eq=False)
class Trial:
    """All that is compared, over the same weights. The first of `ours` is the model as it is loaded."""

    shape: Shape
    ours: tuple[Ours, ...]
    rivals: Mapping[str, TransformersSide]
    rounds: int
    progress: Progress

    @property
    def first(self) -> Ours:
        """The model as it is loaded."""
        return self.ours[0]


@apart
def prepare(shape: Shape, device: str, rounds: int, progress: Progress) -> Trial:
    """Make the model and everybody who answers with it. Raises CheckpointError where there is no such device."""
    progress(f"making {shape.name}")
    subject = make_subject(shape, device)
    ours = []
    for precision in (subject.precision, *(PRECISIONS if subject.model.device.type == "cpu" else ())):
        progress(f"making {shape.name} {precision}")
        one = served(subject, precision)
        ours.append(Ours(one, local_engine(one, MOST_REQUESTS)))
    sides = (rival_side(subject, dtype) for dtype in shape.rival_types)
    return Trial(shape, tuple(ours), {side.name: side for side in sides}, rounds, progress)
