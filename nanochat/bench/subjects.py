"""What is measured: the embedded model, and random weights in the shapes of the nanochats that people train.

Speed does not depend on what the weights say, only on how many there are, so nothing is downloaded. A model that falls
silent early would be measured on fewer tokens, so here nothing ends an answer: the rows of the output matrix that
belong to control tokens are the mean of all others, so their logit is the mean of all others, and never the greatest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import torch
import transformers
from torch import nn
from transformers import PreTrainedTokenizerFast

from nanochat.chat.template import ChatTemplate
from nanochat.model.checkpoint import load_checkpoint
from nanochat.model.configuration_nanochat import NanoChatConfig
from nanochat.model.modeling_nanochat import NanoChatForCausalLM
from nanochat.model.packing import pack
from nanochat.model.placing import choose_device
from nanochat.model.quantization import quantize
from nanochat.model.source import EMBEDDED

SEED = 1
# Beside the type a model is loaded in.
PRECISIONS = ("int8", "int4")


@dataclass(frozen=True, slots=True)
class Shape:
    """Which model to make, and how much of each figure a machine gets done in a few minutes.

    source: the checkpoint to load; None for random weights of the sizes that follow. answer_tokens: new tokens of one
    answer, and of each of many at once. chat_tokens: a chat of eight turns. rival_types: the number types in which the
    rival is tried, the fastest first.
    """

    name: str
    source: str | None = None
    hidden_size: int = 0
    layers: int = 0
    heads: int = 0
    vocabulary: int = 65_536
    answer_tokens: int = 24
    crowd_tokens: int = 24
    chat_tokens: int = 1_500
    rival_types: tuple[torch.dtype, ...] = (torch.bfloat16,)


# In float32 a large model reads twice the bytes for each token: the row of the limit shows what that leaves. The
# embedded one lies in the caches, and there the rival is faster in float32.
SHAPES: Mapping[str, Shape] = MappingProxyType(
    {
        "embedded": Shape(
            "embedded",
            EMBEDDED,
            answer_tokens=192,
            crowd_tokens=48,
            chat_tokens=960,
            rival_types=(torch.float32, torch.bfloat16),
        ),
        "d20": Shape("d20", hidden_size=1280, layers=20, heads=10),
        "d32": Shape("d32", hidden_size=2048, layers=32, heads=16, answer_tokens=12, crowd_tokens=8),
    }
)


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """A model to be measured, with the tokenizer that both sides use. precision: how its weights are stored."""

    shape: Shape
    precision: str
    model: NanoChatForCausalLM
    tokenizer: PreTrainedTokenizerFast
    template: ChatTemplate

    @property
    def name(self) -> str:
        """The model and its precision, as the table calls them."""
        return f"{self.shape.name} {self.precision}"


def make_subject(shape: Shape, device: str) -> Subject:
    """Make a model that never ends an answer by itself. Raises CheckpointError where there is no such device."""
    place = choose_device(device)
    checkpoint = load_checkpoint(shape.source or EMBEDDED, device=device)
    template = ChatTemplate(checkpoint.tokenizer.backend_tokenizer)
    model = checkpoint.model if shape.source else random_model(shape, template, place)
    silence(model, template)
    return Subject(shape, type_name(model.dtype), model, checkpoint.tokenizer, template)


def random_model(shape: Shape, template: ChatTemplate, device: torch.device) -> NanoChatForCausalLM:
    """Claim the memory of a bfloat16 model once and fill it in place."""
    config = NanoChatConfig(
        vocab_size=shape.vocabulary,
        hidden_size=shape.hidden_size,
        intermediate_size=4 * shape.hidden_size,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        bos_token_id=template.control.bos,
        eos_token_id=template.control.assistant_end,
        pad_token_id=None,
    )
    with torch.device("meta"):
        model = NanoChatForCausalLM(config)
    model = nn.Module.to(model, torch.bfloat16).to_empty(device=device)
    # Its frequencies are computed, not stored.
    model.model.rotary_emb = type(model.model.rotary_emb)(config).to(device)
    generator = torch.Generator(device).manual_seed(SEED)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, config.initializer_range, generator=generator)
    nn.Module.eval(model)
    return model


def served(subject: Subject, precision: str) -> Subject:
    """Return a second model as the page serves it; the first keeps its weights, and both share what stays the same."""
    config = subject.model.config
    with torch.device("meta"):
        model = NanoChatForCausalLM(config)
    _share(subject.model, model, config, subject.model.dtype)
    lay_out(model, precision)
    return replace(subject, precision=precision, model=model)


def lay_out(model: NanoChatForCausalLM, precision: str) -> None:
    """Do to a model, in place, what is done before it is served."""
    if precision in PRECISIONS:
        quantize(model, precision)
    pack(model)


def rival_model(subject: Subject, dtype: torch.dtype) -> Any:
    """Return `transformers.NanoChatForCausalLM` over the same weights; in another type, over a copy."""
    # Both sides read the same config.json, so one is made from the other.
    config = transformers.NanoChatConfig.from_dict(subject.model.config.to_dict())
    with torch.device("meta"):
        model = transformers.NanoChatForCausalLM(config)
    _share(subject.model, model, config, dtype)
    return model


@torch.no_grad()
def silence(model: NanoChatForCausalLM, template: ChatTemplate) -> None:
    """Give every id without text a mean logit: control tokens, and those the tokenizer does not know."""
    rows = model.lm_head.weight
    silent = torch.ones(len(rows), dtype=torch.bool)
    silent[: template.vocab_size] = False
    silent[sorted(template.control.all)] = True
    rows[silent] = rows[~silent].float().mean(dim=0).to(rows.dtype)


def type_name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _share(source: NanoChatForCausalLM, target: Any, config: Any, dtype: torch.dtype) -> None:
    """Give the target the very parameters of the source, or copies where they are of another type."""
    kept = {
        name: parameter if parameter.dtype == dtype else nn.Parameter(parameter.to(dtype), requires_grad=False)
        for name, parameter in source.named_parameters()
    }
    target.load_state_dict(kept, assign=True)
    target.model.rotary_emb = type(target.model.rotary_emb)(config).to(source.device)
    nn.Module.eval(target)
