"""Quantized weights on a GPU, by bitsandbytes and the config that transformers has for it.

The library is no requirement of this project: it is large, and made for CUDA. Where it is missing the model is refused
before any of its weights are read.
"""

from __future__ import annotations

from importlib.util import find_spec

import torch
from transformers import BitsAndBytesConfig

from nanochat.errors import CheckpointError

LIBRARY = "bitsandbytes"


def check_place(quantization: str, device: torch.device) -> None:
    """Raises CheckpointError where this quantization does not run on this device, and says what would."""
    if quantization == "none" or device.type == "cpu":
        return
    if device.type != "cuda":
        raise CheckpointError(f"{quantization} runs on cpu and on cuda, not on {device.type}: set NANOCHAT_DEVICE=cpu.")
    if find_spec(LIBRARY) is None:
        raise CheckpointError(
            f"{quantization} on a GPU needs {LIBRARY}: run `pip install {LIBRARY}`, or leave NANOCHAT_QUANTIZE out."
        )


def gpu_config(quantization: str, dtype: torch.dtype) -> BitsAndBytesConfig:
    """Return what transformers quantizes by while it loads. Needs the library."""
    if quantization == "int8":
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype)
