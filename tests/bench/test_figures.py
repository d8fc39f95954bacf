"""Every figure of the table: its rows for a tiny model, and its arithmetic from seconds that are given."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from nanochat.bench import command
from nanochat.bench.answering import Sample, answering_rows, recording_row
from nanochat.bench.answering import rows_of as rows_of_answers
from nanochat.bench.bandwidth import bytes_a_token, bytes_per_second, memory_to_read
from nanochat.bench.cancelling import cancelling_rows
from nanochat.bench.command import FIGURES, ONLY_FOR, bench_command, measured
from nanochat.bench.crowd import CROWDS, crowd_rows
from nanochat.bench.crowd import rows_of as rows_of_crowds
from nanochat.bench.inside import Clicks, inside_rows, rows_of_clicks
from nanochat.bench.sides import Timed
from nanochat.bench.subjects import PRECISIONS, SHAPES, Shape
from nanochat.bench.table import Goal
from nanochat.bench.trial import Trial
from nanochat.bench.turns import Beginnings, turns_rows
from nanochat.bench.turns import rows_of as rows_of_turns
from nanochat.errors import BenchError, CheckpointError


def silent(_: str) -> None:
    pass


def named(trial: Trial, precision: str, shape: str):
    """One of the trial's models, as if it were of this shape."""
    (one,) = [one for one in trial.ours if one.subject.precision == precision]
    return replace(one, subject=replace(one.subject, shape=replace(one.subject.shape, name=shape)))


def test_one_answer_is_measured_in_every_precision(trial: Trial, random_trial: Trial) -> None:
    for each, loaded in ((trial, "float32"), (random_trial, "bfloat16")):
        rows = answering_rows(each)
        assert [row.model for row in rows[::3]] == [f"{each.shape.name} {name}" for name in (loaded, *PRECISIONS)]
        assert {row.unit for row in rows} == {"tok/s", "s"}
        assert all(row.ours > 0 and row.theirs and row.ratio for row in rows)
        assert all(row.beside.startswith("transformers ") for row in (*rows[::3], *rows[2::3]))


def test_an_answer_is_compared_with_the_fastest_rival_and_with_what_the_memory_allows(random_trial: Trial) -> None:
    one = named(random_trial, "bfloat16", "d20")
    size = bytes_a_token(one.subject.model)
    ours = [Sample(Timed(0.1, 1.1, 31), 40.0 * size), Sample(Timed(0.1, 2.1, 31), 20.0 * size)]
    slow, fast = Sample(Timed(0.2, 3.2, 31), 1.0), Sample(Timed(0.3, 1.8, 31), 1.0)
    speed, limit, start = rows_of_answers(one, ours, {"slow": [slow, slow], "fast": [fast, fast]})
    # Ours writes 30 and 15 tokens a second, the fast rival 20.
    assert (speed.beside, speed.ours, speed.theirs, speed.ratio) == ("fast", 22.5, pytest.approx(20), 1.125)
    assert (speed.goal, speed.met) == (Goal("ratio", 1.5), False)
    assert (limit.theirs, limit.ratio) == (pytest.approx(30), 0.75)
    assert (start.beside, start.ratio) == ("slow", 2.0)


def test_what_recording_brings_is_the_ratio_of_two_speeds_of_ours() -> None:
    recorded, eager = Sample(Timed(0.1, 1.1, 31), 1.0), Sample(Timed(0.2, 3.2, 31), 1.0)
    row = recording_row("d20 bfloat16", [recorded] * 3, [eager] * 3)
    assert (row.ours, row.theirs, row.beside) == (pytest.approx(30), pytest.approx(10), "ours eager")
    assert row.ratio == pytest.approx(3)


def test_the_bytes_of_a_token_are_all_matrices_and_not_the_embedding(random_trial: Trial) -> None:
    shape, sizes = random_trial.shape, {}
    for one in random_trial.ours:
        sizes[one.subject.precision] = bytes_a_token(one.subject.model)
    matrices = shape.layers * 12 * shape.hidden_size**2 + shape.vocabulary * shape.hidden_size
    assert sizes["bfloat16"] == 2 * matrices
    assert matrices < sizes["int8"] < 1.1 * matrices
    assert 0.5 * matrices < sizes["int4"] < 0.7 * matrices


def test_the_bandwidth_is_positive_and_reads_what_it_says() -> None:
    memory = memory_to_read(torch.device("cpu"), 2**20)
    assert memory.nbytes == 2**20
    assert bytes_per_second(memory) > 0


def test_a_crowd_is_measured_in_every_size(trial: Trial) -> None:
    rows = crowd_rows(trial)
    assert [row.figure.split()[0] for row in rows] == [str(crowd) for crowd in CROWDS]
    assert all(row.beside.endswith(", one by one") for row in rows)


def test_the_tokens_of_a_crowd_are_those_of_all_over_the_seconds_until_the_last() -> None:
    rows = rows_of_crowds("d20 bfloat16", 10, [[1.0, 2.0, 4.0, 8.0]], "rival", [[2.0, 8.0, 16.0, 32.0]])
    assert [row.ours for row in rows] == [10, 20, 20, 20]
    assert [row.theirs for row in rows] == [5, 5, 5, 5]
    assert [row.ratio for row in rows] == [2, 4, 4, 4]
    assert [row.met for row in rows] == [None, None, False, None]


def test_a_long_chat_is_measured_with_and_without_what_was_read(trial: Trial) -> None:
    rows = turns_rows(trial)
    assert [row.beside for row in rows] == ["transformers float32"] * 3 + ["ours, nothing reused"]
    assert all(row.ours > 0 and row.theirs for row in rows)


def test_reuse_is_compared_with_our_own_engine_without_it() -> None:
    ours, theirs = [Beginnings(0.5, 4.0, 0.2)], [Beginnings(1.0, 6.0)]
    rows = rows_of_turns("m", 1_500, ours, "rival", theirs)
    assert [row.ratio for row in rows] == [2, 1.5, pytest.approx(30), pytest.approx(20)]
    assert rows[-1].met


def test_the_view_inside_is_measured(trial: Trial) -> None:
    captured, first, following = inside_rows(trial)
    assert captured.beside == "ours, unobserved"
    assert captured.goal == Goal("ratio", 0.95)
    assert first.ours > 0 < following.ours


def test_a_click_has_the_goal_of_its_shape() -> None:
    for shape, goal in (("embedded", 0.3), ("d20", 5.0)):
        rows = rows_of_clicks(shape, shape, [Clicks(0.2, 0.1), Clicks(0.4, 0.1), Clicks(6.0, 0.1)])
        assert [row.ours for row in rows] == [0.4, 0.1]
        assert [row.met for row in rows] == [goal > 0.4, True]


def test_cancels_are_measured_and_leave_nothing(trial: Trial) -> None:
    latency, grown = cancelling_rows(trial)
    assert 0 < latency.ours < 10
    assert latency.ratio
    assert (grown.unit, grown.ratio) == ("MB", None)
    assert trial.first.engine.live_requests == 0


def test_figures_are_measured_only_where_they_are_asked_for_and_make_sense(
    random_shape: Shape, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = []
    for names in ("APART", "TOGETHER"):
        replaced = {name: lambda *_, name=name: ran.append(name) or [] for name in getattr(command, names)}
        monkeypatch.setattr(command, names, replaced)
    monkeypatch.setattr(command, "prepare", lambda *_: None)
    for name in SHAPES:
        assert not [*measured(replace(random_shape, name=name), "cpu", 1, FIGURES, silent)]
        assert ran == [figure for figure in FIGURES if name in ONLY_FOR.get(figure, {name})]
        ran.clear()
    assert not [*measured(random_shape, "cpu", 1, ["crowd"], silent)]
    assert ran == ["crowd"]


def test_the_table_is_printed_and_written_and_progress_stays_out_of_it(
    tiny_shape: Shape, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "SHAPES", {"tiny": tiny_shape})
    bench_command("tiny", "cpu", 1, ["answer"], tmp_path / "table.json")
    output = capsys.readouterr()
    told = json.loads((tmp_path / "table.json").read_text())
    heading, titles, *lines = output.out.splitlines()
    assert heading.startswith(f"cpu, {told['threads']} threads; torch {told['torch']}")
    assert titles.split()[:2] == ["model", "figure"]
    assert [line.split("  ")[0].strip() for line in lines] == [row["model"] for row in told["rows"]]
    assert "warming up" in output.err
    assert "warming up" not in output.out


def test_what_cannot_be_measured_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BenchError, match="rounds"):
        bench_command("embedded", "cpu", 0, [], None)
    with pytest.raises(BenchError, match="There is no figure sing: the figures are process, page, answer"):
        bench_command("embedded", "cpu", 1, ["sing"], None)
    monkeypatch.setattr(command, "SHAPES", {})
    with pytest.raises(BenchError, match=r"cannot be written to .*: No such file or directory"):
        bench_command("all", "cpu", 1, [], tmp_path / "nowhere" / "table.json")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_the_command_says_so() -> None:
    with pytest.raises(CheckpointError, match="This machine has no device cuda: set it to auto or cpu"):
        bench_command("embedded", "cuda", 1, [], None)
