"""The NanoChat transformer: token ids in, logits out.

A decoder-only transformer with the gains left out. The embedding is normalised, then each layer adds two things to
the residual stream: what attention gathered from earlier tokens and what the MLP computed at this one. A last norm and
an untied head give a logit for each entry of the vocabulary, bounded by a tanh.

Every RMSNorm here is without weights, every linear map without bias; queries and keys are turned by RoPE first and
normalised after; the MLP squares its ReLU. Parameter names and signatures are those of
`transformers.NanoChatForCausalLM`, so a state dict of one loads into the other.

Source of the architecture: karpathy/nanochat, gpt.py, as released in October 2025. What the current one adds to it
stands in current.py; here every such piece is a module, or None where the config leaves it out.
"""

from __future__ import annotations

import math
from itertools import chain
from os import PathLike
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from transformers import initialization
from transformers.activations import ACT2FN
from transformers.cache_utils import Cache, DynamicCache
from transformers.generation.utils import GenerationMixin
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_outputs import BaseModelOutputWithPast, CausalLMOutputWithPast
from transformers.modeling_utils import PreTrainedModel, slice_logits_to_keep
from transformers.utils.generic import can_return_tuple, merge_with_config_defaults
from transformers.utils.output_capturing import capture_outputs

from nanochat.model.attention import NanoChatAttention, NanoChatRMSNorm, eager_attention_forward
from nanochat.model.configuration_nanochat import NanoChatConfig, head_size, vocabulary_rows
from nanochat.model.current import (
    NanoChatBackout,
    NanoChatResidualMix,
    NanoChatSmear,
    attention_masks,
    initialize,
    previous_embeddings,
    window_of,
)
from nanochat.model.quantization import refuse_quantized
from nanochat.model.rotary import NanoChatRotaryEmbedding, rotate

__all__ = [
    "NanoChatAttention",
    "NanoChatDecoderLayer",
    "NanoChatForCausalLM",
    "NanoChatMLP",
    "NanoChatModel",
    "NanoChatPreTrainedModel",
    "NanoChatRMSNorm",
    "NanoChatRotaryEmbedding",
    "eager_attention_forward",
    "head_size",
    "rotate",
]


class NanoChatMLP(nn.Module):
    """Widen, keep the positive part squared, narrow again."""

    def __init__(self, config: NanoChatConfig) -> None:
        super().__init__()
        self.activation_fn = ACT2FN[config.hidden_act]
        self.fc1 = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.fc2 = nn.Linear(config.intermediate_size, config.hidden_size, bias=False)

    def forward(self, hidden_states: Tensor) -> Tensor:
        narrowed: Tensor = self.fc2(self.activation_fn(self.fc1(hidden_states)))
        return narrowed


class NanoChatDecoderLayer(GradientCheckpointingLayer):
    """One block: attention and MLP, each on a normalised copy, each added to the residual stream."""

    def __init__(self, config: NanoChatConfig, layer_idx: int) -> None:
        super().__init__()
        self.hidden_size = config.hidden_size
        self.self_attn = NanoChatAttention(config, layer_idx)
        self.mlp = NanoChatMLP(config)
        self.input_layernorm = NanoChatRMSNorm(config.rms_norm_eps)
        self.post_attention_layernorm = NanoChatRMSNorm(config.rms_norm_eps)
        depth = layer_idx / max(config.num_hidden_layers - 1, 1)
        self.residual_mix = NanoChatResidualMix(depth) if config.residual_lambdas else None

    def forward(self, hidden_states: Tensor, embedded: Tensor | None = None, **kwargs: Any) -> Tensor:
        if self.residual_mix is not None:
            hidden_states = self.residual_mix(hidden_states, embedded)
        gathered, _ = self.self_attn(self.input_layernorm(hidden_states), **kwargs)
        hidden_states = hidden_states + gathered
        computed: Tensor = self.mlp(self.post_attention_layernorm(hidden_states))
        return hidden_states + computed


class NanoChatPreTrainedModel(PreTrainedModel):
    """What transformers must know to load, place, checkpoint and observe the model."""

    config_class = NanoChatConfig
    config: NanoChatConfig
    base_model_prefix = "model"
    supports_gradient_checkpointing = True
    _no_split_modules: ClassVar[list[str]] = ["NanoChatDecoderLayer"]  # type: ignore[misc]
    _skip_keys_device_placement: ClassVar[list[str]] = ["past_key_values"]  # type: ignore[misc]
    _supports_flash_attn = True
    _supports_sdpa = True
    _supports_flex_attn = True
    _can_compile_fullgraph = True
    _supports_attention_backend = True
    _can_record_outputs: ClassVar[dict[str, Any]] = {  # type: ignore[misc]
        "hidden_states": NanoChatDecoderLayer,
        "attentions": NanoChatAttention,
    }

    @classmethod
    def is_custom_code(cls) -> bool:
        """Say that `_init_weights` leaves loaded tensors alone, as transformers trusts only its own models to do.

        Otherwise it skips every module without parameters of its own, such as attention.
        """
        return False

    def save_pretrained(self, save_directory: str | PathLike[str], *args: Any, **kwargs: Any) -> None:
        """Save as every model of transformers, also after an engine has joined matrices in one storage.

        Raises CheckpointError for a model that was quantized.
        """
        refuse_quantized(self)
        # The state dict is the second of the arguments that may be given by place.
        if len(args) < 2 and kwargs.get("state_dict") is None:
            kwargs["state_dict"] = {name: alone(tensor) for name, tensor in self.state_dict().items()}
        super().save_pretrained(save_directory, *args, **kwargs)

    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)  # type: ignore[no-untyped-call]
        if isinstance(module, NanoChatAttention):
            # Each layer adds to the stream; smaller additions keep its size even over depth.
            std = self.config.initializer_range / math.sqrt(2 * self.config.num_hidden_layers)
            initialization.normal_(module.o_proj.weight, mean=0.0, std=std)
        initialize(module, self.config.hidden_size)


class NanoChatModel(NanoChatPreTrainedModel):
    """The transformer without its head: ids or embeddings in, normalised hidden states out."""

    def __init__(self, config: NanoChatConfig) -> None:
        super().__init__(config)
        self.padding_idx = config.pad_token_id
        self.vocab_size = config.vocab_size
        self.embed_tokens = nn.Embedding(vocabulary_rows(config), config.hidden_size, self.padding_idx)
        self.layers = nn.ModuleList(NanoChatDecoderLayer(config, index) for index in range(config.num_hidden_layers))
        self.windowed = tuple(window_of(config, index) is not None for index in range(config.num_hidden_layers))
        self.norm = NanoChatRMSNorm(config.rms_norm_eps)
        self.rotary_emb = NanoChatRotaryEmbedding(config)
        self.smear = NanoChatSmear() if config.smear else None
        self.backout = NanoChatBackout() if config.backout else None
        self.gradient_checkpointing = False
        self.post_init()  # type: ignore[no-untyped-call]

    @merge_with_config_defaults  # type: ignore[untyped-decorator]
    @capture_outputs  # type: ignore[untyped-decorator]
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: Tensor | None = None,
        use_cache: bool | None = None,
        **kwargs: Any,
    ) -> BaseModelOutputWithPast:
        """Return hidden states (batch, length, hidden_size) after the last norm, and the cache if one is used.

        input_ids: (batch, length), or inputs_embeds: (batch, length, hidden_size); exactly one, else ValueError.
        attention_mask: (batch, past + length), 0 on padding. position_ids: (batch, length).
        """
        embedded = self._embed(input_ids, inputs_embeds)
        if use_cache and past_key_values is None:
            past_key_values = DynamicCache(config=self.config)
        if position_ids is None:
            past = past_key_values.get_seq_length() if past_key_values is not None else 0
            position_ids = (torch.arange(embedded.shape[1], device=embedded.device) + past).unsqueeze(0)
        hidden_states = self.norm(embedded)
        if self.smear is not None:
            hidden_states = self.smear(
                hidden_states,
                previous_embeddings(hidden_states, position_ids, attention_mask, past_key_values, len(self.layers)),
            )
        hidden_states = self._run_layers(
            hidden_states,
            attention_masks(self.config, embedded, attention_mask, past_key_values, position_ids),
            position_embeddings=self.rotary_emb(embedded, position_ids),
            past_key_values=past_key_values,
            position_ids=position_ids,
            input_ids=input_ids,
            **kwargs,
        )
        return BaseModelOutputWithPast(last_hidden_state=self.norm(hidden_states), past_key_values=past_key_values)

    def _embed(self, input_ids: Tensor | None, inputs_embeds: Tensor | None) -> Tensor:
        if (input_ids is None) == (inputs_embeds is None):
            raise ValueError("Give exactly one of input_ids and inputs_embeds.")
        if inputs_embeds is None:
            looked_up: Tensor = self.embed_tokens(input_ids)
            return looked_up
        if self.config.value_embeddings:
            raise ValueError("This model looks up values by token id: give input_ids, not inputs_embeds.")
        return inputs_embeds

    def _run_layers(self, hidden_states: Tensor, masks: tuple[Any, Any], **kwargs: Any) -> Tensor:
        """Pass the stream through all layers; the second of the masks is for those with a window."""
        start = halfway = hidden_states
        for index, layer in enumerate(self.layers):
            hidden_states = layer(hidden_states, start, attention_mask=masks[self.windowed[index]], **kwargs)
            if index == len(self.layers) // 2:
                halfway = hidden_states
        return hidden_states if self.backout is None else self.backout(hidden_states, halfway)


class NanoChatForCausalLM(NanoChatPreTrainedModel, GenerationMixin):
    """The model with its head: what generates text."""

    _tied_weights_keys: ClassVar[dict[str, str]] = {"lm_head.weight": "model.embed_tokens.weight"}  # type: ignore[misc]
    _tp_plan: ClassVar[dict[str, str]] = {"lm_head": "colwise_gather_output"}  # type: ignore[misc]
    _pp_plan: ClassVar[dict[str, tuple[list[str], list[str]]]] = {"lm_head": (["hidden_states"], ["logits"])}  # type: ignore[assignment, misc]
    _fsdp_plan: ClassVar[dict[str, str]] = {"lm_head": "keep_full_weight"}  # type: ignore[misc]

    def __init__(self, config: NanoChatConfig) -> None:
        super().__init__(config)
        self.model = NanoChatModel(config)
        self.vocab_size = config.vocab_size
        self.lm_head = nn.Linear(config.hidden_size, vocabulary_rows(config), bias=False)
        self.post_init()  # type: ignore[no-untyped-call]

    @can_return_tuple  # type: ignore[untyped-decorator]
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int | Tensor = 0,
        **kwargs: Any,
    ) -> CausalLMOutputWithPast:
        """Return logits (batch, kept, vocab_size), and the loss in nats a token where labels are given.

        labels: (batch, length), -100 where no loss is wanted; they are shifted here.
        logits_to_keep: how many last positions get logits, 0 for all, or the positions themselves.
        The other arguments are those of NanoChatModel.
        """
        outputs = self.model(
            input_ids=input_ids,
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=past_key_values,
            inputs_embeds=inputs_embeds,
            use_cache=use_cache,
            **kwargs,
        )
        logits = self.logits(slice_logits_to_keep(outputs.last_hidden_state, logits_to_keep))
        loss = None if labels is None else self.loss_function(logits, labels, self.vocab_size, **kwargs)
        return CausalLMOutputWithPast(
            loss=loss,
            logits=logits,
            past_key_values=outputs.past_key_values,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
        )

    def logits(self, hidden_states: Tensor) -> Tensor:
        """Map normalised hidden states (…, hidden_size) to softcapped logits (…, vocab_size)."""
        logits: Tensor = self.lm_head(hidden_states)
        if self.config.padded_vocab_size is not None:
            logits = logits[..., : self.vocab_size]
        cap = self.config.final_logit_softcapping
        return logits if cap is None else cap * torch.tanh(logits / cap)


def device_of(module: nn.Module) -> torch.device:
    """Return where a part of the model is: over several GPUs each layer lies whole on one of them."""
    return next(chain(module.parameters(), module.buffers())).device


def alone(tensor: Tensor) -> Tensor:
    """Return the tensor in a storage of its own: an engine that has run the model holds q, k and v as parts of one."""
    return tensor if tensor.untyped_storage().nbytes() == tensor.nbytes else tensor.clone()
