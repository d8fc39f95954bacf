"""Where a model's numbers go, and as which type: one device, or whole layers in a row over all GPUs.

A model that is too large for one GPU is not cut through its matrices but between its layers: each GPU has some of them,
and the stream of a token goes from one to the next. It is not faster that way, only possible.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from accelerate import dispatch_model, infer_auto_device_map
from accelerate.utils import get_balanced_memory

from nanochat.errors import CheckpointError
from nanochat.model.modeling_nanochat import NanoChatForCausalLM

ALL_GPUS = "all"
# Up to here a processor decodes faster in float32 than in bfloat16, whose rows it must widen first; above, the bytes
# that every token reads from memory decide.
FLOAT32_PARAMETERS = 300_000_000


def choose_device(name: str) -> torch.device:
    """Return the device of that name: for auto the fastest there is, for all the first of the GPUs.

    Raises CheckpointError where there is none.
    """
    has_cuda, has_mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if name == ALL_GPUS:
        name = "cuda"
    if name == "auto":
        return torch.device("cuda" if has_cuda else "mps" if has_mps else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise CheckpointError(f"{name[:100]!r} is not a device: use auto, cpu, cuda, cuda:N, mps or all.") from error
    present = {"cpu": 1, "cuda": torch.cuda.device_count() if has_cuda else 0, "mps": int(has_mps)}
    if (device.index or 0) >= present.get(device.type, 0):
        raise CheckpointError(f"This machine has no device {name}: set it to auto or cpu.")
    return device


def choose_dtype(name: str, device: torch.device, parameters: int) -> torch.dtype:
    """Return the type of that name, for auto what decodes fastest on the device. Raises CheckpointError."""
    types = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
    if name in types:
        return types[name]
    if name != "auto":
        raise CheckpointError(f"{name[:100]!r} is not a type of numbers: use auto, {', '.join(types)}.")
    if device.type == "cuda":
        # Before Ampere there is no bfloat16 in hardware, and float16 overflows where the MLP squares.
        return torch.bfloat16 if torch.cuda.get_device_capability(device) >= (8, 0) else torch.float32
    return torch.float32 if parameters <= FLOAT32_PARAMETERS else torch.bfloat16


def choose_quantization(name: str, device: torch.device, dtype: str) -> str:
    """Return the quantization of that name, for auto int8 on a processor, unless a type of numbers is asked for.

    There it is one and a half times as fast or more and loses a ten-thousandth in bits a byte; a GPU is fast without.
    """
    if name != "auto":
        return name
    return "int8" if device.type == "cpu" and dtype == "auto" else "none"


def spread(model: NanoChatForCausalLM) -> None:
    """Lay the model over all GPUs of this machine. Raises CheckpointError when they are too small together."""
    dispatch_model(model, layer_map(model), skip_keys=model._skip_keys_device_placement)


def layer_map(model: NanoChatForCausalLM, memory: Mapping[int, int] | None = None) -> dict[str, int]:
    """Return a GPU for each part, about as much for each GPU, so that there is as much left on each for what it reads.

    memory: free bytes by GPU, as they are now if left out. Raises CheckpointError when they do not suffice.
    """
    whole = model._no_split_modules
    room = get_balanced_memory(model, None if memory is None else dict(memory), no_split_module_classes=whole)
    gpus = {place: size for place, size in room.items() if isinstance(place, int)}
    places = infer_auto_device_map(model, gpus, no_split_module_classes=whole)
    if not all(isinstance(place, int) for place in places.values()):
        raise CheckpointError(f"it does not fit into the memory of the {len(gpus)} GPUs of this machine together.")
    return dict(places)
