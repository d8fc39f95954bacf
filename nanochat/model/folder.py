"""A model on disk, as Hugging Face lays it out: one folder that plain transformers loads with nothing of ours.

    config.json              the sizes                        model.safetensors      the weights
    generation_config.json   how to sample when nobody says   tokenizer.json         text to ids
    tokenizer_config.json    names of the control tokens      chat_template.jinja    conversation to text
    README.md                the model card

Training, conversion and the tests all write through `save_folder`, so there is one place where the ids of the control
tokens get into the configs, and they come from the tokenizer itself.
"""

from __future__ import annotations

import copy
import json
from pathlib import Path

import torch
from huggingface_hub import save_torch_state_dict
from tokenizers import Tokenizer
from transformers import GenerationConfig

from nanochat.errors import CheckpointError
from nanochat.model.modeling_nanochat import NanoChatForCausalLM, alone
from nanochat.model.quantization import refuse_quantized

TEMPLATE = Path(__file__).with_name("chat_template.jinja")

CONTROL_NAMES = (
    "<|bos|>",
    "<|user_start|>",
    "<|user_end|>",
    "<|assistant_start|>",
    "<|assistant_end|>",
    "<|python_start|>",
    "<|python_end|>",
    "<|output_start|>",
    "<|output_end|>",
)


def save_folder(
    model: NanoChatForCausalLM,
    tokenizer: Tokenizer,
    target: Path,
    card: str,
    *,
    dtype: torch.dtype | None = None,
) -> None:
    """Write everything a NanoChat model is into `target`; its weights in `dtype`, or as they are when None.

    Raises CheckpointError when the tokenizer lacks a control token or knows more ids than the model has rows, and for a
    model that was quantized.
    """
    refuse_quantized(model)
    ids = control_ids(tokenizer)
    if tokenizer.get_vocab_size() > model.config.vocab_size:
        raise CheckpointError(
            f"The tokenizer has {tokenizer.get_vocab_size()} tokens but the model only {model.config.vocab_size} rows."
        )
    target.mkdir(parents=True, exist_ok=True)
    _write_config(model, ids, target, dtype or model.dtype)
    _generation_config(ids).save_pretrained(target)
    tokenizer.save(str(target / "tokenizer.json"))
    _write_json(target / "tokenizer_config.json", _tokenizer_config(model.config.max_position_embeddings))
    (target / "chat_template.jinja").write_text(TEMPLATE.read_text())
    (target / "README.md").write_text(card)
    weights = {name: alone(tensor.detach().to("cpu", dtype)) for name, tensor in model.state_dict().items()}
    save_torch_state_dict(weights, target)
    for file in target.glob("*.safetensors"):  # written for the owner alone, unlike the files beside it
        file.chmod((target / "config.json").stat().st_mode)


def control_ids(tokenizer: Tokenizer) -> dict[str, int]:
    """Return the id of each control token by its name. Raises CheckpointError for the first one missing."""
    ids = {}
    for name in CONTROL_NAMES:
        token_id = tokenizer.token_to_id(name)
        if token_id is None:
            raise CheckpointError(f"The tokenizer has no {name}: it does not belong to a nanochat chat model.")
        ids[name] = token_id
    return ids


def _write_config(model: NanoChatForCausalLM, ids: dict[str, int], target: Path, dtype: torch.dtype) -> None:
    config = copy.deepcopy(model.config)
    config.architectures = [type(model).__name__]
    config.dtype = dtype
    config.bos_token_id = ids["<|bos|>"]
    config.eos_token_id = ids["<|assistant_end|>"]
    # An embedding row named as padding gets no gradient. All nine control tokens mean something, so none is named here.
    config.pad_token_id = None
    config.save_pretrained(target)


def _generation_config(ids: dict[str, int]) -> GenerationConfig:
    """Sample as the chat page does, and stop where the original's engine stops."""
    return GenerationConfig(
        bos_token_id=ids["<|bos|>"],
        eos_token_id=[ids["<|assistant_end|>"], ids["<|bos|>"]],
        pad_token_id=ids["<|assistant_end|>"],
        do_sample=True,
        temperature=0.6,
        top_k=50,
        max_new_tokens=256,
    )


def _tokenizer_config(context: int) -> dict[str, object]:
    return {
        # The class that reads tokenizer.json alone; transformers 4 and 5 both know it by this name.
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": context,
        "bos_token": "<|bos|>",
        "eos_token": "<|assistant_end|>",
        "pad_token": "<|assistant_end|>",
        # A prompt continues to the right, so a batch is padded on the left.
        "padding_side": "left",
        # Undoing English tokenization would delete the space before punctuation the model wrote.
        "clean_up_tokenization_spaces": False,
    }


def _write_json(path: Path, value: dict[str, object]) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n")
