"""Steps recorded once and replayed: a GPU does all operations of one at a single command.

Asking for an operation takes Python longer than a GPU takes to do it, so while a small model writes, a GPU mostly
waits. What a CUDA graph recorded it does again by itself, with the same operations on the same memory; only what lies
in that memory differs. So what a step reads is copied to where the recorded one found it, and what comes out lies where
it left it.

A recording is made when its shapes first occur and tried before it is trusted: it must say of other ids than it was
made with what the same step says without it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import torch
from torch import Tensor

# (4, rows) as `StepRows` lays them out, and a reach -> logits, (rows, vocabulary).
Step: TypeAlias = Callable[[Tensor, int], Tensor]

# What libraries do only on their first calls, such as choosing a kernel, must not be recorded.
WARM_UPS = 2
# Of the length of all logits together. Another kernel rounds differently, in bfloat16 by half a percent; what reads the
# wrong memory is off by as much as there is.
TOLERANCE = 0.05


class Recording(Protocol):
    """Work that can be done again. Nothing else may write to what it wrote to."""

    def record(self, work: Callable[[], Tensor]) -> Tensor:
        """Take down what the work does, which need not happen now; return where its result lies after a replay."""
        ...

    def replay(self) -> None:
        """Do it again, with what lies there now in the memory that it reads."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class _Recorded:
    """One recorded step, with where it reads and where it leaves its logits."""

    recording: Recording
    steps: Tensor
    logits: Tensor


class RecordedSteps:
    """A step of fixed shapes, recorded for each of its shapes."""

    def __init__(self, step: Step, device: torch.device, new_recording: Callable[[], Recording]) -> None:
        self._step = step
        self._device = device
        self._new_recording = new_recording
        self._recorded: dict[tuple[int, int], _Recorded] = {}

    def __call__(self, steps: Tensor, reach: int) -> Tensor:
        """Do what the step does. The logits are overwritten by the next call.

        Raises RuntimeError where the step cannot be recorded, or does something else then.
        """
        shape = (steps.shape[1], reach)
        if shape not in self._recorded:
            self._recorded[shape] = self._record(steps, reach)
        recorded = self._recorded[shape]
        recorded.steps.copy_(steps)
        recorded.recording.replay()
        return recorded.logits

    def _record(self, steps: Tensor, reach: int) -> _Recorded:
        read = steps.to(self._device, copy=True)
        expected = self._step(read, reach)
        # The same places with other ids, so that what it writes meanwhile is overwritten when it is tried.
        read[0] = 0
        recording = self._new_recording()
        logits = recording.record(lambda: self._step(read, reach))
        read.copy_(steps)
        recording.replay()
        # Written so that NaN fails too.
        if not (logits - expected).norm() <= TOLERANCE * expected.norm():
            raise RuntimeError("a recorded step said something else than the step it was made of.")
        return _Recorded(recording, read, logits)


class CudaGraph:
    """A recording by CUDA itself. Graphs of one pool use the same memory for what they need only while they run."""

    def __init__(self, device: torch.device, pool: Any) -> None:
        self._device = device
        self._pool = pool
        self._graph = torch.cuda.CUDAGraph()

    def record(self, work: Callable[[], Tensor]) -> Tensor:
        with torch.cuda.device(self._device):
            here, beside = torch.cuda.current_stream(), torch.cuda.Stream()  # type: ignore[no-untyped-call]
            beside.wait_stream(here)
            # Around the recording too: one that fails leaves the thread on the stream that it was made on.
            with torch.cuda.stream(beside):
                for _ in range(WARM_UPS):
                    work()
                # Other threads may compute on this GPU meanwhile; only what this one does must be fit to be recorded.
                with torch.cuda.graph(self._graph, pool=self._pool, stream=beside, capture_error_mode="thread_local"):
                    return work()

    def replay(self) -> None:
        self._graph.replay()


def on_cuda(step: Step, device: torch.device) -> RecordedSteps:
    """Return the step recorded as CUDA graphs."""
    pool = torch.cuda.graph_pool_handle()
    return RecordedSteps(step, device, lambda: CudaGraph(device, pool))
