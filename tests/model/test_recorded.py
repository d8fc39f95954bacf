"""What keeps recordings, with one that replays a function on the processor. CUDA's own needs a GPU."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from nanochat.model.decoder import SlotDecoder
from nanochat.model.recorded import RecordedSteps, Step
from tests.model.steps import decoder_of, each_kind, fill, model_of, with_steps, write

CPU = torch.device("cpu")
Wrapped = Callable[[Step], Step]


class Replayed:
    """Keeps to what a graph promises: recording does nothing yet, and each replay leaves its result in one place."""

    def record(self, work: Callable[[], Tensor]) -> Tensor:
        self._work = work
        self._result = torch.full_like(work(), torch.nan)
        return self._result

    def replay(self) -> None:
        self._result.copy_(self._work())


class Frozen(Replayed):
    """One that would always say what it said first."""

    def record(self, work: Callable[[], Tensor]) -> Tensor:
        self._result = work()
        return self._result

    def replay(self) -> None:
        pass


class Refused(Replayed):
    def record(self, work: Callable[[], Tensor]) -> Tensor:
        raise RuntimeError("operation not permitted when stream is capturing\nand much more")


class Full(Replayed):
    def record(self, work: Callable[[], Tensor]) -> Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory.")


class Broken(Replayed):
    """Works when it is tried, and not when it is used."""

    def record(self, work: Callable[[], Tensor]) -> Tensor:
        self._replays = 0
        return super().record(work)

    def replay(self) -> None:
        self._replays += 1
        if self._replays > 2:
            raise RuntimeError("CUDA error: unspecified launch failure")
        super().replay()


def recorded(kind: type[Replayed], made: list[Replayed]) -> Wrapped:
    """Steps in recordings of this kind, each of which is noted."""

    def new_recording() -> Replayed:
        made.append(kind())
        return made[-1]

    return lambda step: RecordedSteps(step, CPU, new_recording)


def written(decoder: SlotDecoder) -> list[Tensor]:
    """Everything that one, two and three answers in turn are chosen from, over the edges of reaches."""
    fill(decoder, {4: 5, 2: 13, 7: 1})
    return [write(decoder, live) for live in ((4,), (2, 4), (7, 2, 4), (4,), (2, 4), (2, 7), (7,), (4, 2, 7))]


@each_kind
def test_replayed_steps_say_what_passes_say(kind: str) -> None:
    model = model_of(kind)
    made: list[Replayed] = []
    replayed = written(with_steps(decoder_of(model), recorded(Replayed, made)))
    torch.testing.assert_close(replayed, written(decoder_of(model)), atol=1e-5, rtol=0)
    # One for each pair of rows and reach that occurs: 1 at 8 and 16; 2 and 4 at 16 and, once one has read 16, at 32.
    assert len(made) == 6


def test_a_shape_is_recorded_once() -> None:
    made: list[Replayed] = []
    decoder = with_steps(decoder_of(model_of("classic")), recorded(Replayed, made))
    for _ in range(6):
        write(decoder, (3, 5))
    assert len(made) == 1


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (Frozen, "RuntimeError: a recorded step said something else"),
        (Refused, "RuntimeError: operation not permitted when stream is capturing"),
        (Full, "OutOfMemoryError: CUDA out of memory."),
        (Broken, "RuntimeError: CUDA error: unspecified launch failure"),
    ],
)
def test_whatever_goes_wrong_is_told_once_and_passes_go_on(
    kind: type[Replayed], said: str, caplog: pytest.LogCaptureFixture
) -> None:
    model = model_of("current")
    with caplog.at_level(logging.WARNING):
        fallen_back = written(with_steps(decoder_of(model), recorded(kind, [])))
    torch.testing.assert_close(fallen_back, written(decoder_of(model)), atol=1e-5, rtol=0)
    (message,) = caplog.messages
    assert said in message
    assert "\n" not in message


def test_a_pass_that_fails_elsewhere_is_not_hidden() -> None:
    decoder = with_steps(decoder_of(model_of("classic")), recorded(Replayed, []))
    fill(decoder, {1: 3})
    with pytest.raises(IndexError):
        write(decoder, (1,), token=5000)
    assert len(decoder.cache.slots[1].ids) == 3


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("kind", ["classic", "current"])
def test_graphs_of_cuda_say_what_passes_say(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    model = model_of(kind).to("cuda")
    eager = decoder_of(model)
    replayed = SlotDecoder(model, decoder_of(model).cache)
    torch.testing.assert_close(written(replayed), written(eager), atol=1e-4, rtol=0)
    assert not caplog.messages
    assert replayed._fast is not None
    assert replayed._fast._step is not None
