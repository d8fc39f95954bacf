"""Run a Space as on ZeroGPU on a machine without a GPU: python -m tests.zerogpu.run_space SCRIPT

The real `spaces` package forks real workers and speaks to a device API; only its few touches of CUDA are led to the
CPU. They hold for the whole process, so this runs in one of its own. Environment:

    SPACES_ZERO_GPU, SPACES_ZERO_DEVICE_API_URL    as on a Space
    SPACE_TEST_MISHAP    a file: while it says "slow" each pass of the model takes 30 ms, while "full" it runs out of
                         memory, while "undefined" its numbers are
"""

from __future__ import annotations

import os
import runpy
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch

SLOW_PASS_SECONDS = 0.03


def pretend_cuda() -> None:
    """Let `spaces` believe in the GPU: in main it only ever pretends, and here the worker goes on pretending."""
    torch.version.cuda = "12.8"
    torch.cuda._is_in_bad_fork = bool
    if not hasattr(torch._C, "_cuda_init"):
        torch._C._cuda_init = lambda: None
    import spaces.zero.torch
    from spaces.zero.torch import patching

    def bring_weights(callback: object = None) -> None:
        # Instead of from disk to the GPU: give each stand-in for a tensor "on cuda" its numbers, on the CPU.
        for stand_in, original in patching.cuda_aliases.items():
            stand_in.data = original

    spaces.zero.torch.init = lambda uuid: None
    spaces.zero.torch.pack = lambda: 0
    spaces.zero.torch.move = bring_weights


def allow_mishaps(script: Path) -> None:
    from nanochat.model.decoder import Segment, SlotDecoder

    read = SlotDecoder.read

    def mishap(decoder: SlotDecoder, segments: Sequence[Segment]) -> list[torch.Tensor]:
        wanted = script.read_text()
        if wanted == "slow":
            time.sleep(SLOW_PASS_SECONDS)
        elif wanted == "full":
            raise MemoryError
        logits = read(decoder, segments)
        return [torch.full_like(rows, torch.nan) for rows in logits] if wanted == "undefined" else logits

    SlotDecoder.read = mishap


if __name__ == "__main__":
    pretend_cuda()
    allow_mishaps(Path(os.environ["SPACE_TEST_MISHAP"]))
    runpy.run_path(sys.argv[1], run_name="__main__")
