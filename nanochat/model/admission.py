"""Which models are let in: config, tokenizer and tensors that a NanoChat can be made of, and nothing that runs as code.

Every check here is made on what little of a checkpoint has been read so far, and before more of it is. Each refusal is
a CheckpointError whose text names the file and what is wrong with it.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast
from transformers.activations import ACT2FN
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from nanochat.errors import CheckpointError
from nanochat.model.configuration_nanochat import NanoChatConfig
from nanochat.model.folder import control_ids
from nanochat.model.modeling_nanochat import NanoChatForCausalLM
from nanochat.model.weights import Weights, read_json

# A vocabulary may be padded for the sake of the hardware; more rows without a token are another model's.
PADDED_ROWS = 1024
# Bounds no nanochat model comes near, and with which its shape can still be drawn up in a moment.
LARGEST = {
    "vocab_size": 2_000_000,
    "hidden_size": 65_536,
    "intermediate_size": 1_048_576,
    "num_hidden_layers": 512,
    "num_attention_heads": 1024,
    "num_key_value_heads": 1024,
    "max_position_embeddings": 10_000_000,
    "head_dim": 4096,
}
FRACTIONS = {"rms_norm_eps", "final_logit_softcapping", "qk_scale"}
# These may be null in the file.
OPTIONAL = {"num_key_value_heads", "head_dim", "final_logit_softcapping", "rope_parameters"}
# What is read of a config.json: our own fields, and what transformers 4 wrote in place of rope_parameters. Others could
# ask transformers to fetch and run code.
FIELDS = {*NanoChatConfig.__annotations__, "head_dim", "rope_theta", "rope_scaling"}


def read_config(folder: Path) -> NanoChatConfig:
    """Read config.json by the fields we know, and no others. Raises CheckpointError."""
    values = read_json(folder / "config.json", limit_bytes=1_000_000)
    kind = values.get("model_type")
    if kind != NanoChatConfig.model_type:
        raise CheckpointError(f"config.json describes a model of type {str(kind)[:50]!r}, not nanochat.")
    if values.get("quantization_config"):
        raise CheckpointError("config.json describes quantized weights, which are not read.")
    try:
        check_numbers(values)
        config = NanoChatConfig(**{name: value for name, value in values.items() if name in FIELDS})
        check_sizes(config)
        return config
    except (StrictDataclassError, ValueError, TypeError, KeyError, AttributeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise CheckpointError(f"config.json does not describe a nanochat model: {reason}") from error


def check_sizes(config: NanoChatConfig) -> None:
    """Raises ValueError for sizes of which no model can be made."""
    check_numbers(vars(config))
    heads, kv_heads = config.num_attention_heads, config.num_key_value_heads or 1
    if heads % kv_heads:
        raise ValueError(f"num_attention_heads is {heads}, no multiple of num_key_value_heads, {kv_heads}.")
    if not hasattr(config, "head_dim") and config.hidden_size % (2 * heads):
        raise ValueError(f"hidden_size is {config.hidden_size}, no multiple of twice num_attention_heads, {heads}.")
    if config.hidden_act not in ACT2FN:
        raise ValueError(f"hidden_act is {config.hidden_act[:50]!r}, which transformers does not know.")


def check_numbers(values: dict[str, Any]) -> None:
    """Raises ValueError for a number out of its bounds, as far as `values` has it."""
    given = {name: value for name, value in values.items() if value is not None or name not in OPTIONAL}
    for name in LARGEST.keys() & given.keys():
        if type(given[name]) is not int or not 1 <= given[name] <= LARGEST[name]:
            raise ValueError(f"{name} is {str(given[name])[:50]}, not a whole number from 1 to {LARGEST[name]:,}.")
    for name in FRACTIONS & given.keys():
        if type(given[name]) not in (int, float) or not 0 < given[name] < 1e6:
            raise ValueError(f"{name} is {str(given[name])[:50]}, not a number above 0.")
    rope = given.get("rope_parameters") or {}
    kind = rope.get("rope_type", "default") if isinstance(rope, dict) else None
    if not isinstance(kind, str) or kind not in {"default", *ROPE_INIT_FUNCTIONS}:
        raise ValueError(f"rope_parameters are of type {str(kind)[:50]!r}, which transformers does not know.")


def read_tokenizer(folder: Path, config: NanoChatConfig) -> PreTrainedTokenizerFast:
    """Read the tokenizer, which must be nanochat's kind and fit the model. Raises CheckpointError."""
    read_json(folder / "tokenizer.json")
    try:
        backend = Tokenizer.from_file(str(folder / "tokenizer.json"))
    except Exception as error:  # the tokenizers library raises nothing more particular
        raise CheckpointError("tokenizer.json is damaged or not of the tokenizers library.") from error
    control_ids(backend)
    rows, tokens = config.vocab_size, max(backend.get_vocab().values()) + 1
    if not rows - PADDED_ROWS <= tokens <= rows:
        raise CheckpointError(
            f"The tokenizer has {tokens:,} tokens but the model {rows:,}: they do not belong together."
        )
    names = read_json(folder / "tokenizer_config.json") if (folder / "tokenizer_config.json").exists() else {}
    template = folder / "chat_template.jinja"
    chat_template = template.read_text() if template.exists() else names.get("chat_template")
    return chat_tokenizer(backend, config.max_position_embeddings, chat_template)


def chat_tokenizer(backend: Tokenizer, context_tokens: int, chat_template: str | None) -> PreTrainedTokenizerFast:
    """Put transformers' interface around a tokenizer that has nanochat's control tokens."""
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token="<|bos|>",
        eos_token="<|assistant_end|>",
        pad_token="<|assistant_end|>",
        padding_side="left",
        clean_up_tokenization_spaces=False,
        model_max_length=context_tokens,
        chat_template=chat_template,
    )


def expected_shapes(config: NanoChatConfig) -> dict[str, tuple[int, ...]]:
    """Return the shape of every tensor the model has, drawn up without its memory."""
    with torch.device("meta"):
        model = NanoChatForCausalLM(config)
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}


def expected_parameters(config: NanoChatConfig) -> int:
    return sum(math.prod(shape) for shape in expected_shapes(config).values())


def check_shapes(weights: Weights, config: NanoChatConfig) -> None:
    """Refuse tensors that are missing, left over or of another shape: transformers would draw them at random."""
    expected, found = expected_shapes(config), weights.shapes
    # A head that shares the embedding's tensor need not be stored.
    optional = {"lm_head.weight"} if config.tie_word_embeddings else set()
    if missing := sorted(expected.keys() - found.keys() - optional):
        raise CheckpointError(f"The weights lack {missing[0]}{_and_others(missing)}.")
    if foreign := sorted(found.keys() - expected.keys()):
        raise CheckpointError(f"The weights hold {foreign[0][:100]}{_and_others(foreign)}, which the model has not.")
    for name, shape in found.items():
        if shape != expected[name]:
            raise CheckpointError(f"{name} has the shape {shape}, but by config.json it is {expected[name]}.")


def check_finite(model: NanoChatForCausalLM) -> None:
    """Refuse infinite or undefined weights. safetensors stores them without a word."""
    for name, tensor in model.state_dict().items():
        # The extremes of a tensor with one NaN are NaN; unlike isfinite this needs no memory of the tensor's size.
        if not all(math.isfinite(extreme) for extreme in torch.aminmax(tensor)):
            raise CheckpointError(f"{name} holds numbers that are not finite: the weights are damaged.")


def _and_others(names: list[str]) -> str:
    return f" and {len(names) - 1} more" if len(names) > 1 else ""
