"""A model and its tokenizer, from the folder in this repository, another folder or the Hub; checked, then trusted.

The order is the safety. First the small files: a config of a foreign or impossible model, or a tokenizer that is not
nanochat's, ends the load before the weights are fetched. Then the headers of the weights: tensors that do not fit
the config end it before memory is spent. Then the content: what is not finite or not what the Hub announced ends it
before anybody talks to it. Whatever ends it is a CheckpointError whose text says what to do.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import nn
from transformers import PreTrainedTokenizerFast

from nanochat.errors import CheckpointError
from nanochat.model import hub
from nanochat.model.admission import (
    chat_tokenizer,
    check_finite,
    check_shapes,
    expected_parameters,
    read_config,
    read_tokenizer,
)
from nanochat.model.configuration_nanochat import NanoChatConfig
from nanochat.model.folder import TEMPLATE
from nanochat.model.hub import Progress
from nanochat.model.modeling_nanochat import NanoChatForCausalLM
from nanochat.model.native import NativeRun, find_run, largest_bytes, load_native, run_files
from nanochat.model.source import EMBEDDED, PRETRAINED, HubSource, LocalSource, parse_source
from nanochat.model.weights import INDEX, read_headers, remedy, shard_names, verify_content

__all__ = ["PRETRAINED", "Checkpoint", "Progress", "load_checkpoint"]

SMALL_FILES = [
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
    INDEX,
]
SMALL_BYTES = 200_000_000
# Up to here a processor decodes faster in float32 than in bfloat16, whose rows it must widen first; above, the bytes
# that every token reads from memory decide.
FLOAT32_PARAMETERS = 300_000_000


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A loaded model. `revision` is the commit on the Hub, None for a folder; `checksum` the SHA-256 of its weights."""

    model: NanoChatForCausalLM
    tokenizer: PreTrainedTokenizerFast
    source: str
    revision: str | None
    checksum: str


def load_checkpoint(
    source: str = EMBEDDED,
    *,
    device: str = "auto",
    dtype: str = "auto",
    progress: Progress | None = None,
    make_room: Callable[[int], None] | None = None,
) -> Checkpoint:
    """Load a model for inference. Nothing in it is ever run as code.

    source: "embedded", a folder, or a Hub id with an optional @revision. device: auto, cpu, cuda, cuda:N or mps.
    dtype: auto, float32, bfloat16 or float16. progress: called with words and a fraction from 0 to 1.
    make_room: called with the bytes of the weights once they are known, before memory is spent on them.
    Raises CheckpointError.
    """
    progress = progress or _silent
    place = choose_device(device)
    parsed = parse_source(source)
    try:
        if isinstance(parsed, LocalSource):
            folder, revision = parsed.folder, None
        else:
            folder, revision = _fetch(parsed, progress)
        model, tokenizer, checksum = _load(folder, place, partial(_claim, place, dtype, make_room), progress)
        return Checkpoint(model, tokenizer, source, revision, checksum)
    except CheckpointError as error:
        raise CheckpointError(f"The model {source} cannot be loaded: {error}") from error


def choose_device(name: str) -> torch.device:
    """Return the device of that name, for auto the fastest there is. Raises CheckpointError where there is none."""
    has_cuda, has_mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if name == "auto":
        return torch.device("cuda" if has_cuda else "mps" if has_mps else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise CheckpointError(f"{name[:100]!r} is not a device: use auto, cpu, cuda, cuda:N or mps.") from error
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


def _fetch(source: HubSource, progress: Progress) -> tuple[Path, str]:
    """Bring the files of a repository into the cache, small ones first; return their folder and their commit."""
    folder = hub.download(source, SMALL_FILES, progress, limit_bytes=SMALL_BYTES)
    # The cache names the folder by the commit. Whoever moves the branch meanwhile does not mix two models.
    commit = HubSource(source.repository, folder.name)
    if not (folder / "config.json").is_file():
        return _fetch_run(commit, folder, progress), folder.name
    config = read_config(folder)
    read_tokenizer(folder, config)
    names = shard_names(folder)
    hub.download(commit, names, progress, limit_bytes=4 * expected_parameters(config) + SMALL_BYTES)
    if missing := [name for name in names if not (folder / name).is_file()]:
        raise CheckpointError(f"{missing[0]} is missing. {remedy(hub.list_names(commit))}")
    return folder, folder.name


def _fetch_run(commit: HubSource, folder: Path, progress: Progress) -> Path:
    """Bring the files of a native run, small ones first, into the folder that the cache has for the commit."""
    names = hub.list_names(commit) or [entry.name for entry in folder.iterdir()]
    files = run_files(names)
    if files is None:
        raise CheckpointError(f"config.json is missing. {remedy(names)}")
    weights, *small = files
    hub.download(commit, small, progress, limit_bytes=SMALL_BYTES)
    return hub.download(commit, [weights], progress, limit_bytes=largest_bytes(folder / small[0]))


def _claim(place: torch.device, dtype: str, make_room: Callable[[int], None] | None, parameters: int) -> torch.dtype:
    """Choose the type of the numbers, and have room made for so many of them."""
    chosen = choose_dtype(dtype, place, parameters)
    if make_room is not None:
        make_room(parameters * chosen.itemsize)
    return chosen


def _load(
    folder: Path, device: torch.device, dtype_for: Callable[[int], torch.dtype], progress: Progress
) -> tuple[NanoChatForCausalLM, PreTrainedTokenizerFast, str]:
    """Check, load and check again what lies in a folder: Hugging Face's files or those of a native run."""
    progress("Checking the files", 0.0)
    run = None if (folder / "config.json").exists() else find_run(folder)
    if run is None:
        model, tokenizer, checksum = _load_folder(folder, dtype_for, progress)
    else:
        model, tokenizer, checksum = _load_run(run, dtype_for, progress)
    progress("Checking the weights", 0.8)
    check_finite(model)
    try:
        nn.Module.to(model, device)
    except torch.OutOfMemoryError as error:
        size = sum(tensor.nbytes for tensor in model.state_dict().values())
        raise CheckpointError(f"its {size / 1e9:,.1f} GB do not fit into the memory of {device}.") from error
    progress("Ready", 1.0)
    return model, tokenizer, checksum


def _load_folder(
    folder: Path, dtype_for: Callable[[int], torch.dtype], progress: Progress
) -> tuple[NanoChatForCausalLM, PreTrainedTokenizerFast, str]:
    config = read_config(folder)
    tokenizer = read_tokenizer(folder, config)
    weights = read_headers(folder)
    check_shapes(weights, config)
    checksum = verify_content(weights)
    progress(f"Loading {weights.parameters / 1e6:,.0f} million parameters", 0.3)
    return _read_model(folder, config, dtype_for(weights.parameters)), tokenizer, checksum


def _load_run(
    run: NativeRun, dtype_for: Callable[[int], torch.dtype], progress: Progress
) -> tuple[NanoChatForCausalLM, PreTrainedTokenizerFast, str]:
    model, backend = load_native(run, dtype_for, lambda part: progress(f"Loading {run.weights.name}", 0.7 * part))
    tokenizer = chat_tokenizer(backend, model.config.max_position_embeddings, TEMPLATE.read_text())
    with run.weights.open("rb") as content:
        return model, tokenizer, hashlib.file_digest(content, "sha256").hexdigest()


def _read_model(folder: Path, config: NanoChatConfig, dtype: torch.dtype) -> NanoChatForCausalLM:
    try:
        model: NanoChatForCausalLM = NanoChatForCausalLM.from_pretrained(
            folder,
            config=config,
            dtype=dtype,
            # Named here, so that no config of a stranger can ask for an attention that is downloaded as code.
            attn_implementation="sdpa",
            use_safetensors=True,
            weights_only=True,
            local_files_only=True,
        )
    # What is left to go wrong after the headers fitted: generation_config.json, or a file that changed meanwhile.
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise CheckpointError(f"{type(error).__name__} while reading its files: they are damaged.") from error
    nn.Module.eval(model)
    return model


def _silent(_: str, __: float) -> None:
    """What is told of the progress when nobody asked."""
