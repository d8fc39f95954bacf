"""Whether a step of decoding goes another way than a pass that also reads prompts: one that is recorded or compiled.

That is a matter of speed alone, so it is given up rather than anything else: for a model it does not fit it is not
offered, and when anything goes wrong on the way, the pass as it always was does this step and all that follow.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeAlias, cast

import torch
from torch import Tensor, nn

from nanochat.model.cache import Slot, SlotCache
from nanochat.model.lean_model import LeanModel
from nanochat.model.quantization import MATRICES, QuantizedLinear
from nanochat.model.recorded import Step, on_cuda
from nanochat.model.static_step import MOST_ROWS, StaticStep, StepRows

# eager: as it comes, everywhere. recorded: recorded on CUDA, elsewhere eager. compiled: compiled everywhere, and on
# CUDA recorded as well.
Stepping: TypeAlias = Literal["eager", "recorded", "compiled"]

# What a compiler that is missing or fails raises, and so does whatever it compiled; memory that runs out is among them.
FAILURES = (RuntimeError, OSError)

_log = logging.getLogger(__name__)


class FastStep:
    """Decodes in steps of fixed shapes as long as that goes well."""

    def __init__(self, step: Step, rows: StepRows) -> None:
        self._step: Step | None = step
        self._rows = rows

    def read(self, steps: Sequence[tuple[Slot, int]]) -> list[Tensor] | None:
        """Store one more token of each slot; return logits in float32 on the CPU, (1, vocabulary) for each.

        None where this is not to be done here, now or ever again; what was stored meanwhile is no harm. The slots'
        ids are left to the caller.
        """
        if self._step is None or len(steps) > MOST_ROWS:
            return None
        laid_out, reach = self._rows.of(steps)
        try:
            logits = self._step(laid_out, reach)[: len(steps)].cpu()
        except FAILURES as error:
            self._step = None
            reason = " ".join(str(error).split())
            _log.warning("Steps go the usual, slower way from now on. %s: %s", type(error).__name__, reason[:300])
            return None
        return list(torch.split(logits, 1))

    def prepare(self, slots: Sequence[Slot]) -> None:
        """Let a compiler do its work now, which would else stop the first answers. The slots must be empty."""
        for few in (slots[:1], slots[:2]):
            self.read([(slot, 0) for slot in few])


def fast_step(
    model: nn.Module, lean: LeanModel, cache: SlotCache, stepping: Stepping, record: Callable[..., Step] = on_cuda
) -> FastStep | None:
    """Return the fast way for this model where it is; None where there is none or it is not wanted."""
    recorded = lean.start.type == "cuda"
    if stepping == "eager" or not (recorded or stepping == "compiled") or not _fits(model, lean):
        return None
    step: Step = StaticStep(lean, cache).logits
    if stepping == "compiled":
        step = compiled(step)
    return FastStep(record(step, lean.start) if recorded else step, StepRows(lean, cache.context))


def compiled(step: Step, **options: Any) -> Step:
    """Return the step compiled, once for one row and once for any more; it happens when they first occur."""
    return cast(Step, torch.compile(step, fullgraph=True, dynamic=True, **options))


def _fits(model: nn.Module, lean: LeanModel) -> bool:
    """Say whether the model is on one device, and its matrices are such as can be recorded and compiled.

    Those of libraries that quantize may do anything in a step, and a compiler cannot see into packed ones.
    """
    matrices = [module for name, module in model.named_modules() if name.rpartition(".")[2] in MATRICES]
    return len(lean.tables) == 1 and all(
        type(single) is nn.Linear or isinstance(single, QuantizedLinear) for single in matrices
    )
