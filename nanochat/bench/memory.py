"""The memory of a process or of a GPU, as the system counts it."""

from __future__ import annotations

from pathlib import Path

import torch

from nanochat.errors import BenchError

STATUS = Path("/proc/self/status")


def resident_bytes(device: torch.device) -> int:
    """Return the memory in use now: of this process, or what was allocated on the GPU. Raises BenchError."""
    return torch.cuda.memory_allocated(device) if device.type == "cuda" else _counted("VmRSS")


def peak_bytes(device: torch.device) -> int:
    """Return the most that was in use at once. Raises BenchError."""
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else _counted("VmHWM")


def _counted(name: str) -> int:
    # Not getrusage: what it calls the peak of a child includes that of its parent.
    if not STATUS.exists():
        raise BenchError("The memory of a process is read from /proc, which this system does not have.")
    for line in STATUS.read_text().splitlines():
        words = line.split()
        if words[0] == f"{name}:":
            return int(words[1]) * 1024
    raise BenchError(f"This system does not count {name}.")
