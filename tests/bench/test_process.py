"""A model in a process of its own, and what is told of it."""

from __future__ import annotations

import pytest
import torch

from nanochat.bench import process
from nanochat.bench.memory import peak_bytes, resident_bytes
from nanochat.bench.process import Life, live, memory_rows, process_rows, start_rows
from nanochat.bench.subjects import PRECISIONS, Shape
from nanochat.errors import BenchError

CPU = torch.device("cpu")


@pytest.mark.parametrize("side", ["ours", "transformers"])
def test_a_model_of_a_folder_is_started_on_both_sides(tiny_shape: Shape, side: str) -> None:
    life = live(tiny_shape, side, "float32", "cpu")
    assert life.cold_seconds > life.warm_seconds > 0
    assert life.peak_bytes >= life.resident_bytes > 10_000_000


def test_random_weights_are_started_quantized(random_shape: Shape) -> None:
    assert live(random_shape, "ours", "int4", "cpu").resident_bytes > 10_000_000


def test_the_rows_are_of_starts_and_memory_or_of_memory_in_every_precision(
    tiny_shape: Shape, random_shape: Shape, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = []
    monkeypatch.setattr(process, "live", lambda *job: ran.append(job[1:3]) or Life(2.0, 1.0, 1, 1))
    rows = process_rows(tiny_shape, "cpu", 2, lambda _: None)
    assert [row.unit for row in rows] == ["s", "s", "MB", "MB"]
    assert {row.rounds for row in rows} == {2}
    assert sorted(ran) == sorted([("ours", "float32"), ("transformers", "float32")] * 3)
    rows = process_rows(random_shape, "cpu", 5, lambda _: None)
    assert [row.model for row in rows[::2]] == [f"random {name}" for name in ("bfloat16", *PRECISIONS)]
    assert {(row.unit, row.beside, row.rounds) for row in rows} == {("MB", "transformers bfloat16", 1)}


def test_less_memory_and_less_time_are_better() -> None:
    ours, theirs = [Life(2.0, 0.1, 500_000_000, 600_000_000)], [Life(5.0, 0.3, 1_000_000_000, 900_000_000)]
    assert [row.ratio for row in start_rows("m", "float32", ours, theirs)] == [2.5, pytest.approx(3), 2, 1.5]
    assert [row.ours for row in memory_rows("m", "float32", ours, theirs)] == [500, 600]


def test_a_process_that_fails_is_told_with_its_last_words(random_shape: Shape) -> None:
    with pytest.raises(BenchError, match=r"The process of ours random failed: .*device"):
        live(random_shape, "ours", "bfloat16", "nowhere")


def test_the_peak_is_never_below_what_is_in_use() -> None:
    held = torch.ones(2**22)
    assert 10_000_000 < held.nbytes + 1 < resident_bytes(CPU) <= peak_bytes(CPU)
