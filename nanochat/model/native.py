"""The folder that karpathy/nanochat leaves after a training run, as the model and tokenizer used everywhere here.

A run writes `model_<step>.pt`, `meta_<step>.json` and `tokenizer.pkl`. The first and the last are pickles, and to load
a pickle is to run what it asks for; here nothing is run: inert_pickle.py reads them as data. What they say is compared
with the architectures that run here, and only then are the numbers read, one tensor at a time.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor

from nanochat.errors import CheckpointError
from nanochat.model.admission import expected_parameters, expected_shapes
from nanochat.model.assembly import assemble
from nanochat.model.configuration_nanochat import NanoChatConfig
from nanochat.model.folder import control_ids
from nanochat.model.modeling_nanochat import NanoChatForCausalLM
from nanochat.model.native_config import meta_config, native_config, native_name, plain_name
from nanochat.model.native_tokenizer import read_tokenizer_pickle
from nanochat.model.native_weights import StateFile, open_state
from nanochat.model.weights import read_json

MODEL = re.compile(r"model_(\d{1,12})\.pt", re.ASCII)
# In the order in which they are preferred: the stage made for chatting first, as the original's own chat does.
STAGES = ("chatsft_checkpoints", "chatrl_checkpoints", "mid_checkpoints", "base_checkpoints")


@dataclass(frozen=True, slots=True)
class NativeRun:
    """The three files of a run."""

    weights: Path
    meta: Path
    tokenizer: Path


def find_run(folder: Path) -> NativeRun | None:
    """Find a native run in a folder, or None where there is none; of several models the last step of the last stage.

    The folder may be the base directory of the original (with its `…_checkpoints` and `tokenizer` folders), one of
    those, one model in it, or any folder with the three files. Raises CheckpointError where one of them is missing.
    """
    for models in (folder, *(folder / stage for stage in STAGES)):
        checkpoints = _steps(models)
        if not checkpoints and (largest := _largest_model(models)):
            checkpoints = _steps(largest)
        if checkpoints:
            weights = checkpoints[max(checkpoints)]
            meta = weights.with_name(weights.name.replace("model_", "meta_", 1)).with_suffix(".json")
            if not meta.is_file():
                raise CheckpointError(f"{weights.name} has no {meta.name} beside it: copy it from the run.")
            return NativeRun(weights, meta, _find_tokenizer(weights.parent))
    return None


def run_files(names: Iterable[str]) -> list[str] | None:
    """Return the files of the last step among those of a repository, weights first and meta second, or None."""
    present = set(names)
    steps = {int(match[1]): match for name in present if (match := MODEL.fullmatch(name))}
    if not steps or "tokenizer.pkl" not in present:
        return None
    last = steps[max(steps)]
    return [last[0], f"meta_{last[1]}.json", "tokenizer.pkl"]


def largest_bytes(meta: Path) -> int:
    """Return the most bytes the weights of a run can have, by its meta file. Raises CheckpointError."""
    return 8 * expected_parameters(meta_config(_model_config(meta), is_current=True)) + 50_000_000


def load_native(
    run: NativeRun,
    choose_dtype: Callable[[int], torch.dtype],
    progress: Callable[[float], None],
    quantization: str = "none",
) -> tuple[NanoChatForCausalLM, Tokenizer]:
    """Load a run, in the type of numbers that is chosen by the number of parameters.

    quantization: "none", "int8" or "int4", for the large matrices. progress: called with the fraction that is read.
    Raises CheckpointError, and before memory is spent where the files fit no architecture.
    """
    model_config = _model_config(run.meta)
    tokenizer = read_tokenizer_pickle(run.tokenizer)
    with open_state(run.weights) as state:
        shapes = {plain_name(name): tensor.shape for name, tensor in state.tensors.items()}
        config = native_config(model_config, shapes)
        ids = control_ids(tokenizer)
        if tokenizer.get_vocab_size() != config.vocab_size:
            raise CheckpointError(
                f"the tokenizer has {tokenizer.get_vocab_size():,} tokens but the model {config.vocab_size:,}: "
                "they are of different runs."
            )
        config.bos_token_id, config.eos_token_id = ids["<|bos|>"], ids["<|assistant_end|>"]
        config.dtype = choose_dtype(sum(map(math.prod, shapes.values())))
        return assemble(config, _read(config, state, progress), config.dtype, quantization), tokenizer


def _model_config(meta: Path) -> dict[str, Any]:
    model_config = read_json(meta).get("model_config")
    if not isinstance(model_config, dict):
        raise CheckpointError(f"{meta.name} has no model_config: it is not the meta file of a model.")
    return model_config


def _read(config: NanoChatConfig, state: StateFile, progress: Callable[[float], None]) -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors of the model, each under the name it has there."""
    stored = {plain_name(name): name for name in state.tensors}
    shapes = expected_shapes(config)
    for count, (name, shape) in enumerate(shapes.items(), start=1):
        native, layer = native_name(name)
        tensor = state.read(stored[native])
        if tensor.shape != shape:
            first = layer or 0
            tensor = tensor[first : first + shape[0]].clone()
        yield name, tensor
        progress(count / len(shapes))


def _steps(folder: Path) -> dict[int, Path]:
    """Return the models in a folder by their step."""
    if not folder.is_dir():
        return {}
    named = {file: MODEL.fullmatch(file.name) for file in folder.iterdir()}
    return {int(match[1]): file for file, match in named.items() if match}


def _largest_model(folder: Path) -> Path | None:
    """Return the deepest of the models d4, d20 …, of others the one written last, as the original chooses."""
    if not folder.is_dir():
        return None
    models = [(model, re.match(r"d(\d{1,6})", model.name)) for model in folder.iterdir() if _steps(model)]
    depths = {int(match[1]): model for model, match in models if match}
    if depths:
        return depths[max(depths)]
    return max((model for model, _ in models), key=lambda model: model.stat().st_mtime, default=None)


def _find_tokenizer(folder: Path) -> Path:
    places = [folder, *(place / "tokenizer" for place in (folder, folder.parent, folder.parent.parent))]
    for place in places:
        if (place / "tokenizer.pkl").is_file():
            return place / "tokenizer.pkl"
    raise CheckpointError("tokenizer.pkl is missing: copy it from the run's tokenizer folder to beside the model.")
