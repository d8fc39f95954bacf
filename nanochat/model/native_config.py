"""Which architecture a native checkpoint is of, told by its meta file and by the names and shapes of its tensors.

Two generations run here to the last digit: the one of October 2025 and the one since 14 March 2026. Those of the months
between computed something else under partly the same names, and some of their constants are written in no file. They
are refused by name, never half-loaded; and so is every tensor too many, too few or of another shape.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from huggingface_hub.errors import StrictDataclassError

from nanochat.errors import CheckpointError
from nanochat.model.admission import check_numbers, check_sizes, expected_shapes
from nanochat.model.configuration_nanochat import NanoChatConfig

VOCABULARY = ("transformer.wte.weight", "lm_head.weight")
ROWS_MULTIPLE = 64
SIZES = {
    "vocab_size": "vocab_size",
    "hidden_size": "n_embd",
    "num_hidden_layers": "n_layer",
    "num_attention_heads": "n_head",
    "num_key_value_heads": "n_kv_head",
    "max_position_embeddings": "sequence_len",
}
# What is written in the original's code alone.
CURRENT = {"qk_scale": 1.2, "value_embeddings": True, "residual_lambdas": True, "smear": True, "backout": True}
PIECES = {
    "model.embed_tokens.": "transformer.wte.",
    "model.layers.": "transformer.h.",
    ".self_attn.q_proj.": ".attn.c_q.",
    ".self_attn.k_proj.": ".attn.c_k.",
    ".self_attn.v_proj.": ".attn.c_v.",
    ".self_attn.o_proj.": ".attn.c_proj.",
    ".self_attn.value_embedding.gate.": ".attn.ve_gate.",
    ".mlp.fc1.": ".mlp.c_fc.",
    ".mlp.fc2.": ".mlp.c_proj.",
    "model.smear.gate.": "smear_gate.",
    "model.smear.scale": "smear_lambda",
    "model.backout.scale": "backout_lambda",
}
# Tensors that came on 14 March 2026; with them a file can only be of the current architecture.
NEWEST = frozenset({"smear_lambda", "smear_gate.weight", "backout_lambda"})
# Of two architectures of the months between, the first that fits a file says best what it is.
BETWEEN = (
    ("bigram_embed", "late January 2026, with embeddings of token pairs"),
    ("value_embed_A", "16 January 2026, with value embeddings of low rank"),
    ("value_embed", "16 January 2026, with one value embedding for the last layers"),
    ("v0_lambdas", "16 January 2026, with value embeddings on every layer"),
    ("value_embeds", "January to March 2026, with value embeddings but no smear"),
    ("resid_lambdas", "January 2026, with residual lambdas but no value embeddings"),
)


def native_config(model_config: dict[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> NanoChatConfig:
    """Return the config of a native model when its meta file and its tensors' shapes are of one architecture.

    Raises CheckpointError where they are not, or are of none that runs here.
    """
    is_current = not NEWEST.isdisjoint(shapes)
    if not is_current:
        _refuse_between(model_config, shapes)
    config = meta_config(model_config, is_current)
    needed = _native_shapes(config)
    if missing := sorted(needed.keys() - shapes.keys()):
        raise CheckpointError(f"it lacks the tensor {missing[0]}: it is incomplete, or its meta file is another's.")
    if foreign := sorted(shapes.keys() - needed.keys()):
        raise CheckpointError(f"it has a tensor {foreign[0]}, which no architecture that runs here has.")
    padded = _padded(config.vocab_size)
    for name, shape in needed.items():
        found = shapes[name]
        # The classic model's padding is cut off: transformers' port, which also reads what we save, knows of none.
        if not is_current and name in VOCABULARY and found[:1] == (padded,):
            found = (config.vocab_size, *found[1:])
        if found != shape:
            raise CheckpointError(f"{name} has the shape {shapes[name]}, but by its meta file it is {shape}.")
    return config


def native_name(name: str) -> tuple[str, int | None]:
    """Return the original's name of one of our tensors, and the place in it where it is one of several numbers."""
    if mixed := re.fullmatch(r"model\.layers\.(\d+)\.residual_mix\.(stream|start)", name):
        return {"stream": "resid_lambdas", "start": "x0_lambdas"}[mixed[2]], int(mixed[1])
    if table := re.fullmatch(r"model\.layers\.(\d+)\.self_attn\.value_embedding\.table\.weight", name):
        return f"value_embeds.{table[1]}.weight", None
    for ours, native in PIECES.items():
        name = name.replace(ours, native)
    return name, None


def plain_name(name: str) -> str:
    # What torch.compile puts before every name.
    return name.removeprefix("_orig_mod.")


def meta_config(model_config: dict[str, Any], is_current: bool) -> NanoChatConfig:
    """Return the config that a meta file describes, of either architecture. Raises CheckpointError."""
    unknown = sorted(map(str, model_config.keys() - {*SIZES.values(), "window_pattern"}))
    if unknown:
        raise CheckpointError(f"its meta file has {unknown[0][:50]!r}, which no architecture that runs here has.")
    if missing := sorted(set(SIZES.values()) - model_config.keys()):
        raise CheckpointError(f"its meta file lacks {missing[0]}.")
    values: dict[str, Any] = {name: model_config[native] for name, native in SIZES.items()}
    try:
        check_numbers(values)
        values["intermediate_size"] = 4 * values["hidden_size"]
        values["rope_parameters"] = {"rope_type": "default", "rope_theta": 100_000.0 if is_current else 10_000.0}
        if is_current:
            padded = _padded(values["vocab_size"])
            values |= CURRENT
            # A run that says nothing of windows had none, in the original's own reading.
            values["window_pattern"] = str(model_config.get("window_pattern", "L")).upper()
            values["padded_vocab_size"] = None if padded == values["vocab_size"] else padded
        config = NanoChatConfig(**values, pad_token_id=None, bos_token_id=None, eos_token_id=None)
        check_sizes(config)
    except (StrictDataclassError, ValueError, TypeError, ArithmeticError) as error:
        reason = " ".join(str(error).split())[:200].rstrip(".")
        raise CheckpointError(f"its meta file describes no model: {reason}.") from error
    return config


def _refuse_between(model_config: dict[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Name the architecture of the months between that the tensors belong to, if they do."""
    marks = {name.split(".", 1)[0] for name in shapes}
    era = next((era for mark, era in BETWEEN if mark in marks), None)
    if era is None and "S" in str(model_config.get("window_pattern", "")).upper():
        era = "January 2026, with windows but nothing else of what came with them"
    if era is not None:
        raise CheckpointError(
            f"it is of {era}. That architecture is not run here, only those of October 2025 and since 14 March 2026: "
            "train it again with today's karpathy/nanochat, or chat with it by the code that trained it."
        )


def _native_shapes(config: NanoChatConfig) -> dict[str, tuple[int, ...]]:
    shapes = {}
    for name, shape in expected_shapes(config).items():
        native, layer = native_name(name)
        shapes[native] = shape if layer is None else (config.num_hidden_layers,)
    return shapes


def _padded(entries: int) -> int:
    return math.ceil(entries / ROWS_MULTIPLE) * ROWS_MULTIPLE
