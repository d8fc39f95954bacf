"""The shape of a NanoChat model: every number that decides what its tensors look like.

Names and defaults are those of Hugging Face's `transformers.NanoChatConfig`, letter for letter, so that one
`config.json` means the same model in both.
"""

from __future__ import annotations

from typing import Any, ClassVar

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig


@strict
class NanoChatConfig(PreTrainedConfig):
    """Sizes and constants of a NanoChat model.

    vocab_size: rows of the embedding and of the head.
    hidden_size: width of the residual stream; num_attention_heads must divide it.
    intermediate_size: width inside the MLP; the original uses four times hidden_size.
    num_key_value_heads: key and value heads shared by groups of query heads; None means one for each query head.
    max_position_embeddings: the longest context, in tokens.
    final_logit_softcapping: logits are bounded to plus or minus this by a tanh; None leaves them as they are.
    rope_parameters: rotary settings as in transformers; `rope_theta` is the base.
    """

    model_type = "nanochat"
    keys_to_ignore_at_inference: ClassVar[list[str]] = ["past_key_values"]

    # How tensor parallelism cuts each matrix: the first of a pair by output, the second by input.
    base_model_tp_plan: ClassVar[dict[str, str]] = {
        "layers.*.self_attn.q_proj": "colwise",
        "layers.*.self_attn.k_proj": "colwise",
        "layers.*.self_attn.v_proj": "colwise",
        "layers.*.self_attn.o_proj": "rowwise",
        "layers.*.mlp.fc1": "colwise",
        "layers.*.mlp.fc2": "rowwise",
    }
    # What each stage of a pipeline takes and gives.
    base_model_pp_plan: ClassVar[dict[str, tuple[list[str], list[str]]]] = {
        "embed_tokens": (["input_ids"], ["inputs_embeds"]),
        "layers": (["hidden_states", "attention_mask"], ["hidden_states"]),
        "norm": (["hidden_states"], ["hidden_states"]),
    }

    vocab_size: int = 50304
    hidden_size: int = 768
    intermediate_size: int = 8192
    num_hidden_layers: int = 12
    num_attention_heads: int = 6
    num_key_value_heads: int | None = None
    max_position_embeddings: int = 2048
    hidden_act: str = "relu2"
    attention_dropout: float | int = 0.0
    rms_norm_eps: float = 1e-6
    initializer_range: float = 0.02
    rope_parameters: dict[str, Any] | None = None
    use_cache: bool = True
    final_logit_softcapping: float | None = 15.0
    attention_bias: bool = False
    bos_token_id: int | None = 0
    eos_token_id: int | list[int] | None = 1
    pad_token_id: int | None = 1
    tie_word_embeddings: bool = False

    def __post_init__(self, **kwargs: Any) -> None:
        if self.num_key_value_heads is None:
            self.num_key_value_heads = self.num_attention_heads
        super().__post_init__(**kwargs)
