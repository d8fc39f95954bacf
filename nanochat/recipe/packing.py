"""Token ids in rows of one length: what one training step reads.

Documents lie end to end in rows and each keeps to itself: its positions start at zero, and the attention mask that
transformers derives from such positions lets no document see another. So a row of ten short chats trains what ten
rows of padding would.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

IGNORED = -100  # The label that torch's cross entropy leaves out.


@dataclass(frozen=True, slots=True)
class Rows:
    """Packed documents. ids, labels and positions: (rows, length); labels are the ids one step ahead, or IGNORED."""

    ids: NDArray[np.int32]
    labels: NDArray[np.int32]
    positions: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True)
class Batch:
    """One step's rows on the training device.

    ids, positions: (batch, length). labelled: which of all these tokens have a label, (labels,); labels: (labels,).
    """

    ids: Tensor
    positions: Tensor
    labelled: Tensor
    labels: Tensor


Document = tuple[list[int], list[int]]
"""Token ids and a mask of the same length; a mask of 0 keeps its token out of the loss."""


def cut(documents: Iterable[Document], length: int) -> Rows:
    """Lay documents end to end and cut the tape into full rows: no place is lost, and what is cut starts anew."""
    tape: tuple[list[int], list[int], list[int]] = ([], [], [])
    for tokens, mask in documents:
        for part, values in zip(tape, (tokens[:-1], _labels(tokens, mask), range(len(tokens) - 1)), strict=True):
            part.extend(values)
    rows = len(tape[0]) // length
    ids, labels, positions = (np.asarray(part[: rows * length], np.int32).reshape(rows, length) for part in tape)
    # A row that opens in the middle of a document counts from zero there, up to where the next document begins.
    head = np.cumsum(positions == 0, axis=1) == 0
    return Rows(ids, labels, np.where(head, positions - positions[:, :1], positions))


def pack(documents: Iterable[Document], length: int, open_rows: int = 64) -> Rows:
    """Put whole documents into rows, each into the fullest of the open rows that still holds it.

    A document longer than a row loses its end.
    """
    shut: list[_Row] = []
    opened: list[_Row] = []
    for ids, mask in documents:
        piece = (ids[:-1][:length], _labels(ids, mask)[:length])
        fitting = [row for row in opened if row.used + len(piece[0]) <= length]
        if fitting:
            row = max(fitting, key=lambda candidate: candidate.used)
        else:
            row = _Row(length)
            opened.append(row)
        row.put(*piece)
        if len(opened) > open_rows:
            fullest = max(opened, key=lambda candidate: candidate.used)
            opened.remove(fullest)
            shut.append(fullest)
    everything = shut + opened
    return Rows(*(np.stack([getattr(row, part) for row in everything]) for part in ("ids", "labels", "positions")))


def batches(rows: Rows, batch_rows: int, seed: int, first_step: int, device: torch.device) -> Iterator[Batch]:
    """Yield batches for ever, each epoch in an order of its own; step n is the same whenever training starts again.

    Raises ValueError where there are fewer rows than one batch takes.
    """
    steps = len(rows) // batch_rows
    if steps == 0:
        raise ValueError(f"A batch takes {batch_rows} rows but there are only {len(rows)}.")
    step = first_step
    while True:
        epoch, within = divmod(step, steps)
        order = np.random.default_rng((seed, epoch)).permutation(len(rows))
        for index in range(within, steps):
            chosen = order[index * batch_rows : (index + 1) * batch_rows]
            yield batch_of(rows, chosen, device)
            step += 1


def batch_of(rows: Rows, chosen: NDArray[np.int64], device: torch.device) -> Batch:
    """Return the chosen rows as a batch."""
    labels = rows.labels[chosen].ravel()
    labelled = np.flatnonzero(labels != IGNORED)
    parts = (rows.ids[chosen], rows.positions[chosen], labelled, labels[labelled])
    return Batch(*(_to(part, device) for part in parts))


class _Row:
    """A row being filled. Its unused end has no labels, so nothing is learnt there."""

    def __init__(self, length: int) -> None:
        self.ids = np.zeros(length, np.int32)
        self.labels = np.full(length, IGNORED, np.int32)
        self.positions = np.zeros(length, np.int32)
        self.used = 0

    def put(self, ids: list[int], labels: list[int]) -> None:
        end = self.used + len(ids)
        self.ids[self.used : end], self.labels[self.used : end] = ids, labels
        self.positions[self.used : end] = np.arange(len(ids))
        self.used = end


def _labels(ids: list[int], mask: list[int]) -> list[int]:
    return [token if wanted else IGNORED for token, wanted in zip(ids[1:], mask[1:], strict=True)]


def _to(part: NDArray[Any], device: torch.device) -> Tensor:
    tensor = torch.from_numpy(part.astype(np.int64))
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor
