"""What training reads: every token in its place, every document for itself, the same batches after a restart."""

from __future__ import annotations

from itertools import islice, pairwise
from random import Random

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from nanochat import NanoChatForCausalLM
from nanochat.recipe.packing import IGNORED, Document, Rows, batches, cut, pack


def documents(count: int, longest: int, seed: int = 0) -> list[Document]:
    random = Random(seed)
    made = []
    for _ in range(count):
        length = random.randint(2, longest)
        made.append(([random.randrange(300) for _ in range(length)], [random.randrange(2) for _ in range(length)]))
    return made


def pieces(rows: Rows) -> list[tuple[list[int], list[int]]]:
    """Take rows apart where positions start again."""
    found = []
    for ids, labels, positions in zip(rows.ids, rows.labels, rows.positions, strict=True):
        starts = [*np.flatnonzero(positions == 0), len(positions)]
        for start, end in pairwise(starts):
            assert positions[start:end].tolist() == list(range(end - start))
            found.append((ids[start:end].tolist(), labels[start:end].tolist()))
    return found


def expected_labels(ids: list[int], mask: list[int]) -> list[int]:
    return [token if wanted else IGNORED for token, wanted in zip(ids[1:], mask[1:], strict=True)]


def test_packing_keeps_every_document_whole() -> None:
    made = documents(200, 30)
    packed = pieces(pack(made, length=40, open_rows=4))
    for ids, mask in made:
        assert (ids[:-1], expected_labels(ids, mask)) in packed


def test_packing_fills_rows_well() -> None:
    made = documents(400, 30)
    rows = pack(made, length=64)
    assert sum(len(ids) - 1 for ids, _ in made) > 0.9 * rows.ids.size


def test_a_document_longer_than_a_row_loses_its_end_only() -> None:
    ids = list(range(10))
    rows = pack([(ids, [1] * 10)], length=4)
    assert rows.ids.tolist() == [[0, 1, 2, 3]]
    assert rows.labels.tolist() == [[1, 2, 3, 4]]


def test_cutting_loses_nothing_but_the_last_unfilled_row() -> None:
    made = documents(50, 30)
    rows = cut(made, length=16)
    tape = [token for ids, _ in made for token in ids[:-1]]
    assert rows.ids.ravel().tolist() == tape[: len(tape) // 16 * 16]


def test_a_row_that_opens_inside_a_document_counts_from_zero() -> None:
    rows = cut([(list(range(11)), [1] * 11), (list(range(8)), [1] * 8)], length=8)
    assert rows.positions.tolist() == [[0, 1, 2, 3, 4, 5, 6, 7], [0, 1, 0, 1, 2, 3, 4, 5]]


def test_documents_in_one_row_do_not_see_each_other(tiny_model: NanoChatForCausalLM) -> None:
    made = documents(3, 12, seed=3)
    rows = pack(made, length=40)
    assert len(rows) == 1
    with torch.inference_mode():
        ids, positions = torch.from_numpy(rows.ids).long(), torch.from_numpy(rows.positions).long()
        hidden = tiny_model.model(ids, position_ids=positions, use_cache=False).last_hidden_state[0]
        start = 0
        for document, _ in made:
            alone = tiny_model.model(torch.tensor([document[:-1]]), use_cache=False).last_hidden_state[0]
            torch.testing.assert_close(hidden[start : start + len(alone)], alone, atol=1e-5, rtol=1e-5)
            start += len(alone)


def test_nothing_is_learnt_from_the_unused_end_of_a_row() -> None:
    rows = pack([([1, 2, 3], [1, 1, 1])], length=8)
    labels = torch.from_numpy(rows.labels).long()
    logits = torch.randn(8, 10)
    used = F.cross_entropy(logits[:2], torch.tensor([2, 3]))
    torch.testing.assert_close(F.cross_entropy(logits, labels[0], ignore_index=IGNORED), used)


def test_batches_go_on_after_a_restart_as_if_there_had_been_none() -> None:
    rows = cut(documents(60, 30), length=8)
    device = torch.device("cpu")
    unbroken = list(islice(batches(rows, 4, seed=1, first_step=0, device=device), 60))
    resumed = list(islice(batches(rows, 4, seed=1, first_step=37, device=device), 23))
    for before, after in zip(unbroken[37:], resumed, strict=True):
        assert torch.equal(before.ids, after.ids)
        assert torch.equal(before.labels, after.labels)
        assert torch.equal(before.labelled, after.labelled)


def test_an_epoch_reads_each_row_once() -> None:
    rows = cut(documents(60, 30), length=8)
    steps = len(rows) // 4
    epoch = islice(batches(rows, 4, seed=1, first_step=0, device=torch.device("cpu")), steps)
    read = sorted(row.tolist() for batch in epoch for row in batch.ids)
    everything = sorted(rows.ids.tolist())
    assert len(read) == steps * 4
    assert all(row in everything for row in read)


def test_fewer_rows_than_a_batch_are_refused() -> None:
    rows = cut(documents(3, 10), length=8)
    with pytest.raises(ValueError, match="A batch takes 99 rows"):
        next(batches(rows, 99, seed=0, first_step=0, device=torch.device("cpu")))
