"""A model and its tokenizer, from the folder in this repository, another folder or the Hub; checked, then trusted.

The order is the safety. First the small files: a config of a foreign or impossible model, or a tokenizer that is not
nanochat's, ends the load before the weights are fetched. Then the headers of the weights: tensors that do not fit
the config end it before memory is spent. Then the content: what is not finite or not what the Hub announced ends it
before anybody talks to it. Whatever ends it is a CheckpointError whose text says what to do.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import nn
from transformers import PreTrainedTokenizerFast
from transformers.utils import logging

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
from nanochat.model.assembly import assemble_folder
from nanochat.model.configuration_nanochat import NanoChatConfig
from nanochat.model.folder import TEMPLATE
from nanochat.model.gpu_quantization import check_place, gpu_config
from nanochat.model.hub import Progress
from nanochat.model.modeling_nanochat import NanoChatForCausalLM
from nanochat.model.native import NativeRun, find_run, largest_bytes, load_native, run_files
from nanochat.model.placing import ALL_GPUS, choose_device, choose_dtype, choose_quantization, spread
from nanochat.model.quantization import check_name
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
# About what a parameter of a large model takes when its matrices are quantized and its tables, in bfloat16, a tenth.
PARAMETER_BYTES = {"int8": 1.15, "int4": 0.8}


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
    quantize: str = "none",
    progress: Progress | None = None,
    make_room: Callable[[int], None] | None = None,
) -> Checkpoint:
    """Load a model for inference. Nothing in it is ever run as code.

    source: "embedded", a folder, or a Hub id with an optional @revision. device: auto, cpu, cuda, cuda:N, mps or all.
    dtype: auto, float32, bfloat16 or float16. quantize: none, int8, int4 or auto, for the large matrices.
    progress: called with words and a fraction from 0 to 1.
    make_room: called with the bytes of the weights once they are known, before memory is spent on them.
    Raises CheckpointError.
    """
    progress = progress or _silent
    place = choose_device(device)
    quantize = choose_quantization(quantize, place, dtype)
    check_name(quantize)
    parsed = parse_source(source)
    try:
        check_place(quantize, place)
        if device == ALL_GPUS and quantize != "none":
            raise CheckpointError(
                f"{quantize} runs on one GPU: set NANOCHAT_DEVICE=cuda, or leave NANOCHAT_QUANTIZE out."
            )
        if isinstance(parsed, LocalSource):
            folder, revision = parsed.folder, None
        else:
            folder, revision = _fetch(parsed, progress)
        wanted = _Wanted(place, device == ALL_GPUS, dtype, quantize, make_room)
        model, tokenizer, checksum = _load(folder, wanted, progress)
        return Checkpoint(model, tokenizer, source, revision, checksum)
    except CheckpointError as error:
        raise CheckpointError(f"The model {source} cannot be loaded: {error}") from error


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


@dataclass(frozen=True, slots=True)
class _Wanted:
    """How the model shall be in the end."""

    device: torch.device
    spread: bool
    dtype: str
    quantization: str
    make_room: Callable[[int], None] | None

    def claim(self, parameters: int) -> torch.dtype:
        """Choose the type of the numbers, and have room made for so many of them."""
        chosen = choose_dtype(self.dtype, self.device, parameters)
        if self.make_room is not None:
            self.make_room(int(parameters * PARAMETER_BYTES.get(self.quantization, chosen.itemsize)))
        return chosen


def _load(
    folder: Path, wanted: _Wanted, progress: Progress
) -> tuple[NanoChatForCausalLM, PreTrainedTokenizerFast, str]:
    """Check, load and check again what lies in a folder: Hugging Face's files or those of a native run."""
    progress("Checking the files", 0.0)
    run = None if (folder / "config.json").exists() else find_run(folder)
    model, tokenizer, checksum = (
        _load_folder(folder, wanted, progress) if run is None else _load_run(run, wanted, progress)
    )
    progress("Checking the weights", 0.8)
    check_finite(model)
    try:
        spread(model) if wanted.spread else nn.Module.to(model, wanted.device)
    except torch.OutOfMemoryError as error:
        size = sum(tensor.nbytes for tensor in model.state_dict().values())
        raise CheckpointError(f"its {size / 1e9:,.1f} GB do not fit into the memory of {wanted.device}.") from error
    progress("Ready", 1.0)
    return model, tokenizer, checksum


def _load_folder(
    folder: Path, wanted: _Wanted, progress: Progress
) -> tuple[NanoChatForCausalLM, PreTrainedTokenizerFast, str]:
    config = read_config(folder)
    tokenizer = read_tokenizer(folder, config)
    weights = read_headers(folder)
    check_shapes(weights, config)
    checksum = verify_content(weights)
    progress(f"Loading {weights.parameters / 1e6:,.0f} million parameters", 0.3)
    dtype = wanted.claim(weights.parameters)
    try:
        if wanted.quantization != "none" and wanted.device.type == "cpu":
            model = assemble_folder(folder, weights, config, dtype, wanted.quantization)
        else:
            with _no_bar_of_transformers():
                model = _read_model(folder, config, dtype, wanted)
    except torch.OutOfMemoryError as error:
        raise CheckpointError(f"it does not fit into the memory of {wanted.device}.") from error
    # What is left to go wrong after the headers fitted: generation_config.json, or a file that changed meanwhile.
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise CheckpointError(f"{type(error).__name__} while reading its files: they are damaged.") from error
    return model, tokenizer, checksum


def _load_run(
    run: NativeRun, wanted: _Wanted, progress: Progress
) -> tuple[NanoChatForCausalLM, PreTrainedTokenizerFast, str]:
    if wanted.quantization != "none" and wanted.device.type != "cpu":
        raise CheckpointError("a native run is not quantized on a GPU: run `python -m nanochat convert` first.")
    model, backend = load_native(
        run, wanted.claim, lambda part: progress(f"Loading {run.weights.name}", 0.7 * part), wanted.quantization
    )
    tokenizer = chat_tokenizer(backend, model.config.max_position_embeddings, TEMPLATE.read_text())
    with run.weights.open("rb") as content:
        return model, tokenizer, hashlib.file_digest(content, "sha256").hexdigest()


def _read_model(folder: Path, config: NanoChatConfig, dtype: torch.dtype, wanted: _Wanted) -> NanoChatForCausalLM:
    quantized: dict[str, Any] = {}
    if wanted.quantization != "none":
        quantized = {
            "quantization_config": gpu_config(wanted.quantization, dtype),
            "device_map": {"": wanted.device},
        }
    model: NanoChatForCausalLM = NanoChatForCausalLM.from_pretrained(
        folder,
        config=config,
        dtype=dtype,
        # Named here, so that no config of a stranger can ask for an attention that is downloaded as code.
        attn_implementation="sdpa",
        use_safetensors=True,
        weights_only=True,
        local_files_only=True,
        **quantized,
    )
    nn.Module.eval(model)
    return model


@contextmanager
def _no_bar_of_transformers() -> Iterator[None]:
    """How far a load has come is told by `progress` alone; what transformers draws elsewhere is its caller's choice."""
    before = logging.set_tqdm_hook(lambda make, given, named: make(*given, **{**named, "disable": True}))
    try:
        yield
    finally:
        logging.set_tqdm_hook(before)


def _silent(_: str, __: float) -> None:
    """What is told of the progress when nobody asked."""
