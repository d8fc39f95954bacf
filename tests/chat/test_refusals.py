"""Refusals as `spaces` words them, and what becomes of them; straight from `spaces`: tests/zerogpu/test_space.py."""

from __future__ import annotations

import pytest

from nanochat.chat.refusals import explained
from nanochat.errors import GPUBusyError, GPUError, GPULostError, GPUQuotaError

QUOTA = "You have exceeded your free ZeroGPU quota (18s requested vs. 3s left). Try again in 1 day, 1:02:05. "


@pytest.mark.parametrize(
    ("title", "message", "kind", "words"),
    [
        ("ZeroGPU quota exceeded", QUOTA, GPUQuotaError, ("18 s", "3 s left", "in 1 day, 1:02:05")),
        ("ZeroGPU quota exceeded", "No GPU was available after 60s. Try re-running", GPUBusyError, ("in a minute",)),
        ("ZeroGPU illegal duration", "The requested GPU duration (90s) is larger", GPUQuotaError, ("40 GPU seconds",)),
        ("ZeroGPU worker error", "GPU task aborted", GPULostError, ("the 40 s it was asked for",)),
        ("ZeroGPU worker error", "OutOfMemoryError", GPULostError, ("(OutOfMemoryError)",)),
        ("ZeroGPU client error", "Expired ZeroGPU proxy token", GPUError, ("reload the page",)),
        ("ZeroGPU client error", "Internal Gradio error", GPUError, ("Internal Gradio error",)),
        ("A title of next year", "with {braces} in it", GPUError, ("with {braces} in it",)),
    ],
)
def test_each_refusal_becomes_a_sentence_with_its_numbers(
    title: str, message: str, kind: type[GPUError], words: tuple[str, ...]
) -> None:
    error = explained(title, message, 40)
    assert type(error) is kind
    assert all(word in str(error) for word in words)
