"""A model put together tensor by tensor, each in its final form before the next one is read.

Drawn up without memory first, then filled: so loading takes what the model takes in the end and one tensor more, also
when that end is a half or a quarter of what lies on disk.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import cast

import torch
from safetensors import safe_open
from torch import Tensor, nn
from transformers import GenerationConfig

from nanochat.model.configuration_nanochat import NanoChatConfig
from nanochat.model.modeling_nanochat import NanoChatForCausalLM, NanoChatRotaryEmbedding
from nanochat.model.quantization import QuantizedLinear, is_matrix, quantized
from nanochat.model.weights import Weights

EMBEDDING, HEAD = "model.embed_tokens.weight", "lm_head.weight"


def assemble(
    config: NanoChatConfig, tensors: Iterable[tuple[str, Tensor]], dtype: torch.dtype, quantization: str
) -> NanoChatForCausalLM:
    """Return the model, its large matrices quantized as named and the rest in `dtype`, ready for inference.

    tensors: all that the model has, in any order, by their names; none is held on to that is not part of the model.
    """
    with torch.device("meta"):
        model = NanoChatForCausalLM(config)
    for name, tensor in tensors:
        _place(model, name, tensor, dtype, quantization)
        del tensor
    # Its tables are computed, not loaded, and were drawn up without memory like the rest.
    model.model.rotary_emb = NanoChatRotaryEmbedding(config)
    nn.Module.eval(model)
    return model


def assemble_folder(
    folder: Path, weights: Weights, config: NanoChatConfig, dtype: torch.dtype, quantization: str
) -> NanoChatForCausalLM:
    """Assemble what lies in a folder as safetensors. Raises what reading them raises."""
    model = assemble(config, _stored(weights), dtype, quantization)
    if (folder / "generation_config.json").is_file():
        model.generation_config = GenerationConfig.from_pretrained(folder, local_files_only=True)
    return model


def _place(model: nn.Module, name: str, tensor: Tensor, dtype: torch.dtype, quantization: str) -> None:
    """Put one tensor where it belongs; a large matrix is quantized then and there, unless that is "none"."""
    owner, _, leaf = name.rpartition(".")
    module = model.get_submodule(owner)
    if leaf == "weight" and quantization != "none" and is_matrix(owner, module):
        bias = cast(nn.Linear, module).bias
        was_read = bias is not None and not bias.is_meta
        model.set_submodule(owner, quantized(tensor, bias if was_read else None, quantization))
    elif isinstance(module, QuantizedLinear):
        module.bias = tensor.to(module.scales.dtype)
    else:
        module.load_state_dict({leaf: tensor.to(dtype)}, strict=False, assign=True)


def _stored(weights: Weights) -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors file by file: what is mapped of a file is given back before the next is opened."""
    for file in weights.files:
        with safe_open(file, framework="pt") as tensors:
            for name in tensors.keys():  # noqa: SIM118 - not a dict
                yield name, tensors.get_tensor(name)
                if name == EMBEDDING and HEAD not in weights.shapes:
                    yield HEAD, tensors.get_tensor(EMBEDDING)
