"""The NanoChat transformer: token ids in, logits out.

A decoder-only transformer with the gains left out. The embedding is normalised, then each layer adds two things to
the residual stream: what attention gathered from earlier tokens and what the MLP computed at this one. A last norm and
an untied head give a logit for each entry of the vocabulary, bounded by a tanh.

Every RMSNorm here is without weights, every linear map without bias; queries and keys are turned by RoPE first and
normalised after; the MLP squares its ReLU. Parameter names and signatures are those of
`transformers.NanoChatForCausalLM`, so a state dict of one loads into the other.

Source of the architecture: karpathy/nanochat, gpt.py, as released in October 2025.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import initialization
from transformers.activations import ACT2FN
from transformers.cache_utils import Cache, DynamicCache
from transformers.generation import GenerationMixin
from transformers.masking_utils import create_causal_mask
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_outputs import BaseModelOutputWithPast, CausalLMOutputWithPast
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS, dynamic_rope_update
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS, PreTrainedModel, slice_logits_to_keep
from transformers.utils.generic import can_return_tuple, merge_with_config_defaults
from transformers.utils.output_capturing import capture_outputs

from nanochat.model.configuration_nanochat import NanoChatConfig


class NanoChatRMSNorm(nn.Module):
    """Scale each vector to a root mean square of one. There is no weight to learn."""

    def __init__(self, eps: float = 1e-6) -> None:
        super().__init__()
        self.eps = eps

    def forward(self, hidden_states: Tensor) -> Tensor:
        return F.rms_norm(hidden_states, (hidden_states.shape[-1],), eps=self.eps)

    def extra_repr(self) -> str:
        return f"eps={self.eps}"


class NanoChatRotaryEmbedding(nn.Module):
    """Cosines and sines of the angle by which each position turns each pair of channels."""

    inv_freq: Tensor
    original_inv_freq: Tensor

    def __init__(self, config: NanoChatConfig) -> None:
        super().__init__()
        self.config = config
        self.max_seq_len_cached = config.max_position_embeddings
        self.original_max_seq_len = config.max_position_embeddings
        self.rope_type: str = (config.rope_parameters or {})["rope_type"]
        start = self.compute_default_rope_parameters if self.rope_type == "default" else ROPE_INIT_FUNCTIONS[self.rope_type]
        inv_freq, self.attention_scaling = start(config)
        # Not saved: transformers' port computes them from the config too.
        self.register_buffer("inv_freq", inv_freq, persistent=False)
        self.register_buffer("original_inv_freq", inv_freq.clone(), persistent=False)

    @staticmethod
    def compute_default_rope_parameters(config: NanoChatConfig, **_: Any) -> tuple[Tensor, float]:
        """Return one frequency for each pair of channels, falling from 1 to 1 / base, and the unused scale 1.0."""
        base = (config.rope_parameters or {})["rope_theta"]
        head_dim = head_size(config)
        exponents = torch.arange(0, head_dim, 2, dtype=torch.float32) / head_dim
        return 1.0 / base**exponents, 1.0

    @torch.no_grad()
    @dynamic_rope_update
    def forward(self, hidden_states: Tensor, position_ids: Tensor) -> tuple[Tensor, Tensor]:
        """Return cosine and sine, each (batch, length, head_dim), in the type of `hidden_states`."""
        angles = position_ids[..., None].float() * self.inv_freq.to(hidden_states.device, torch.float32)
        angles = torch.cat((angles, angles), dim=-1)
        cos, sin = angles.cos() * self.attention_scaling, angles.sin() * self.attention_scaling
        return cos.to(hidden_states.dtype), sin.to(hidden_states.dtype)


class NanoChatAttention(nn.Module):
    """Causal self-attention: each token gathers from itself and earlier ones what its queries match."""

    def __init__(self, config: NanoChatConfig, layer_idx: int) -> None:
        super().__init__()
        self.config = config
        self.layer_idx = layer_idx
        self.head_dim = head_size(config)
        query_heads, kv_heads = config.num_attention_heads, config.num_key_value_heads or config.num_attention_heads
        self.num_key_value_groups = query_heads // kv_heads
        self.scaling = self.head_dim**-0.5
        self.attention_dropout = config.attention_dropout
        self.is_causal = True
        self.q_proj = nn.Linear(config.hidden_size, query_heads * self.head_dim, bias=config.attention_bias)
        self.k_proj = nn.Linear(config.hidden_size, kv_heads * self.head_dim, bias=config.attention_bias)
        self.v_proj = nn.Linear(config.hidden_size, kv_heads * self.head_dim, bias=config.attention_bias)
        self.o_proj = nn.Linear(query_heads * self.head_dim, config.hidden_size, bias=config.attention_bias)
        self.q_norm = NanoChatRMSNorm(config.rms_norm_eps)
        self.k_norm = NanoChatRMSNorm(config.rms_norm_eps)

    def forward(
        self,
        hidden_states: Tensor,
        position_embeddings: tuple[Tensor, Tensor],
        attention_mask: Tensor | None = None,
        past_key_values: Cache | None = None,
        **kwargs: Any,
    ) -> tuple[Tensor, Tensor | None]:
        """Map (batch, length, hidden) to the same shape; the weights come second, under eager attention only."""
        batch, length = hidden_states.shape[:-1]
        heads_last = (batch, length, -1, self.head_dim)
        query = self.q_proj(hidden_states).view(heads_last).transpose(1, 2)
        key = self.k_proj(hidden_states).view(heads_last).transpose(1, 2)
        value = self.v_proj(hidden_states).view(heads_last).transpose(1, 2)

        # RoPE comes first and the norm after; other models that normalise queries and keys do it the other way round.
        query = self.q_norm(rotate(query, *position_embeddings))
        key = self.k_norm(rotate(key, *position_embeddings))
        if past_key_values is not None:
            key, value = past_key_values.update(key, value, self.layer_idx)

        attend: Callable[..., tuple[Tensor, Tensor | None]] = ALL_ATTENTION_FUNCTIONS.get_interface(
            self.config._attn_implementation, eager_attention_forward
        )
        dropout = self.attention_dropout if self.training else 0.0
        gathered, weights = attend(
            self, query, key, value, attention_mask, dropout=dropout, scaling=self.scaling, **kwargs
        )
        return self.o_proj(gathered.reshape(batch, length, -1)), weights


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

    def forward(self, hidden_states: Tensor, **kwargs: Any) -> Tensor:
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
    _no_split_modules: ClassVar[list[str]] = ["NanoChatDecoderLayer"]
    _skip_keys_device_placement: ClassVar[list[str]] = ["past_key_values"]
    _supports_flash_attn = True
    _supports_sdpa = True
    _supports_flex_attn = True
    _can_compile_fullgraph = True
    _supports_attention_backend = True
    _can_record_outputs: ClassVar[dict[str, Any]] = {
        "hidden_states": NanoChatDecoderLayer,
        "attentions": NanoChatAttention,
    }

    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, NanoChatAttention):
            # Each layer adds to the stream; smaller additions keep its size even over depth.
            std = self.config.initializer_range / math.sqrt(2 * self.config.num_hidden_layers)
            initialization.normal_(module.o_proj.weight, mean=0.0, std=std)


class NanoChatModel(NanoChatPreTrainedModel):
    """The transformer without its head: ids or embeddings in, normalised hidden states out."""

    def __init__(self, config: NanoChatConfig) -> None:
        super().__init__(config)
        self.padding_idx = config.pad_token_id
        self.vocab_size = config.vocab_size
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size, self.padding_idx)
        self.layers = nn.ModuleList(NanoChatDecoderLayer(config, index) for index in range(config.num_hidden_layers))
        self.norm = NanoChatRMSNorm(config.rms_norm_eps)
        self.rotary_emb = NanoChatRotaryEmbedding(config)
        self.gradient_checkpointing = False
        self.post_init()

    @merge_with_config_defaults
    @capture_outputs
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
        if (input_ids is None) == (inputs_embeds is None):
            raise ValueError("Give exactly one of input_ids and inputs_embeds.")
        embedded: Tensor = self.embed_tokens(input_ids) if inputs_embeds is None else inputs_embeds
        if use_cache and past_key_values is None:
            past_key_values = DynamicCache(config=self.config)
        if position_ids is None:
            past = past_key_values.get_seq_length() if past_key_values is not None else 0
            position_ids = (torch.arange(embedded.shape[1], device=embedded.device) + past).unsqueeze(0)
        causal_mask = create_causal_mask(
            config=self.config,
            inputs_embeds=embedded,
            attention_mask=attention_mask,
            past_key_values=past_key_values,
            position_ids=position_ids,
        )
        position_embeddings = self.rotary_emb(embedded, position_ids)
        hidden_states = self.norm(embedded)
        for layer in self.layers:
            hidden_states = layer(
                hidden_states,
                position_embeddings=position_embeddings,
                attention_mask=causal_mask,
                past_key_values=past_key_values,
                position_ids=position_ids,
                **kwargs,
            )
        return BaseModelOutputWithPast(last_hidden_state=self.norm(hidden_states), past_key_values=past_key_values)


class NanoChatForCausalLM(NanoChatPreTrainedModel, GenerationMixin):
    """The model with its head: what generates text."""

    _tied_weights_keys: ClassVar[dict[str, str]] = {"lm_head.weight": "model.embed_tokens.weight"}
    _tp_plan: ClassVar[dict[str, str]] = {"lm_head": "colwise_gather_output"}
    _pp_plan: ClassVar[dict[str, tuple[list[str], list[str]]]] = {"lm_head": (["hidden_states"], ["logits"])}
    _fsdp_plan: ClassVar[dict[str, str]] = {"lm_head": "keep_full_weight"}

    def __init__(self, config: NanoChatConfig) -> None:
        super().__init__(config)
        self.model = NanoChatModel(config)
        self.vocab_size = config.vocab_size
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()

    @can_return_tuple
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
        cap = self.config.final_logit_softcapping
        return logits if cap is None else cap * torch.tanh(logits / cap)


def head_size(config: NanoChatConfig) -> int:
    """Channels of one attention head; `head_dim` in the config wins, as in transformers' port."""
    return getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads


def rotate(heads: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn each pair of channels (i, i + half) by minus its angle.

    heads: (batch, heads, length, head_dim); cos and sin: (batch, length, head_dim).
    The minus is nanochat's own (karpathy/nanochat, gpt.py, apply_rotary_emb); Llama turns the other way.
    """
    first, second = heads.chunk(2, dim=-1)
    turned = torch.cat((second, -first), dim=-1)
    return heads * cos.unsqueeze(1) + turned * sin.unsqueeze(1)


def eager_attention_forward(
    module: NanoChatAttention,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float,
    dropout: float = 0.0,
    **_: Any,
) -> tuple[Tensor, Tensor]:
    """Attention written out, so that its weights (batch, heads, length, keys) can be looked at."""
    key = key.repeat_interleave(module.num_key_value_groups, dim=1)
    value = value.repeat_interleave(module.num_key_value_groups, dim=1)
    scores = query @ key.transpose(2, 3) * scaling
    if attention_mask is not None:
        scores = scores + attention_mask
    weights = F.softmax(scores, dim=-1, dtype=torch.float32).to(query.dtype)
    weights = F.dropout(weights, p=dropout, training=module.training)
    return (weights @ value).transpose(1, 2).contiguous(), weights
