"""The shape of a NanoChat model: every number that decides what its tensors look like.

Names and defaults are those of Hugging Face's `transformers.NanoChatConfig`, letter for letter, so that one
`config.json` means the same model in both. Two generations of the architecture are in the world. The *classic* one of
October 2025 is what the defaults describe; each thing that the *current* one of March 2026 added has a field of its own
below, whose default leaves it out.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig

# Fields that transformers' port does not know; a classic model says nothing of them in its config.json.
CURRENT_FIELDS = (
    "padded_vocab_size",
    "qk_scale",
    "window_pattern",
    "sliding_window",
    "value_embeddings",
    "residual_lambdas",
    "smear",
    "backout",
)
# The original rounds short windows up to a tile of its attention kernel.
WINDOW_TILE_TOKENS = 128


@strict
class NanoChatConfig(PreTrainedConfig):
    """Sizes and constants of a NanoChat model.

    vocab_size: entries of the vocabulary, and logits a token.
    hidden_size: width of the residual stream; num_attention_heads must divide it.
    intermediate_size: width inside the MLP; the original uses four times hidden_size.
    num_key_value_heads: key and value heads shared by groups of query heads; None means one for each query head.
    max_position_embeddings: the longest context, in tokens.
    final_logit_softcapping: logits are bounded to plus or minus this by a tanh; None leaves them as they are.
    rope_parameters: rotary settings as in transformers; `rope_theta` is the base.

    Of the current architecture (the modules are in current.py):
    padded_vocab_size: rows of the embeddings and of the head where they are more than vocab_size.
    qk_scale: queries and keys are multiplied by this after their norm.
    window_pattern: "S" and "L" repeated over the layers, the last always "L": S layers see only the newest tokens.
    sliding_window: how many tokens an S layer sees, the token itself included; None means a quarter of the context.
    value_embeddings: alternate layers, the last among them, look up an addition to their values by token id.
    residual_lambdas: each layer starts from a learned mix of the residual stream and the embedding.
    smear: each token's embedding takes some of the token's before it.
    backout: the stream at half depth is subtracted before the last norm.
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
    base_model_pp_plan: ClassVar[dict[str, tuple[list[str], list[str]]]] = {  # type: ignore[assignment]
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

    padded_vocab_size: int | None = None
    qk_scale: float | int = 1.0
    window_pattern: str | None = None
    sliding_window: int | None = None
    value_embeddings: bool = False
    residual_lambdas: bool = False
    smear: bool = False
    backout: bool = False

    def __post_init__(self, **kwargs: Any) -> None:
        if self.num_key_value_heads is None:
            self.num_key_value_heads = self.num_attention_heads
        if self.sliding_window is None and "S" in (self.window_pattern or ""):
            self.sliding_window = short_window(self.max_position_embeddings)
        self._limit_plans()
        super().__post_init__(**kwargs)  # type: ignore[no-untyped-call]

    def _limit_plans(self) -> None:
        """Leave out of the plans what they cannot say of the current architecture: it is cut in fewer places."""
        if self.value_embeddings:
            # The additions to the values come for all heads at once, so attention stays whole on each device.
            plan = {name: style for name, style in type(self).base_model_tp_plan.items() if ".mlp." in name}
            self.base_model_tp_plan = plan  # type: ignore[misc]
        if self.value_embeddings or self.residual_lambdas or self.smear or self.backout:
            # A stage of a pipeline is handed the stream alone; these ask for the ids or for an earlier state of it too.
            self.base_model_pp_plan = None  # type: ignore[assignment, misc]

    @property
    def layer_types(self) -> list[str]:
        """What each layer's attention sees, in transformers' words, by which it builds caches and masks.

        Raises AttributeError where no layer has a window: transformers takes that to mean full attention everywhere.
        """
        if "S" not in (self.window_pattern or ""):
            raise AttributeError("layer_types")
        pattern = self.window_pattern or ""
        letters = [pattern[index % len(pattern)] for index in range(self.num_hidden_layers - 1)] + ["L"]
        return ["sliding_attention" if letter == "S" else "full_attention" for letter in letters]

    @property
    def is_classic(self) -> bool:
        """Whether this is the architecture that transformers' port knows."""
        return all(getattr(self, name) == getattr(type(self), name) for name in CURRENT_FIELDS)

    def to_diff_dict(self) -> dict[str, Any]:
        """Return what config.json holds: everything but additions that are left out."""
        kept: dict[str, Any] = super().to_diff_dict()
        unused = [name for name in CURRENT_FIELDS if kept.get(name) == getattr(type(self), name)]
        return {name: value for name, value in kept.items() if name not in unused}

    def validate_windows(self) -> None:
        """Refuse windows that would be taken for something else. Called by `@strict` after construction."""
        pattern = self.window_pattern
        if pattern is not None and (not pattern or set(pattern) - set("SL")):
            raise ValueError(f"window_pattern must be letters S and L, not {pattern!r}.")
        if self.sliding_window is not None and "S" not in (pattern or ""):
            raise ValueError("sliding_window has no meaning without an S in window_pattern.")

    def validate_padding(self) -> None:
        """Refuse fewer rows than entries. Called by `@strict` after construction."""
        if self.padded_vocab_size is not None and self.padded_vocab_size < self.vocab_size:
            raise ValueError(f"padded_vocab_size is {self.padded_vocab_size}, less than vocab_size {self.vocab_size}.")


def short_window(context_tokens: int) -> int:
    """Return how many tokens an S layer sees by default: a quarter of the context in whole tiles, and the token itself.

    Source: karpathy/nanochat, gpt.py, _compute_window_sizes, where the token itself is not counted.
    """
    quarter = math.ceil(context_tokens / 4)
    return math.ceil(quarter / WINDOW_TILE_TOKENS) * WINDOW_TILE_TOKENS + 1


def head_size(config: NanoChatConfig) -> int:
    """Channels of one attention head; `head_dim` in the config wins, as in transformers' port."""
    return getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads


def vocabulary_rows(config: NanoChatConfig) -> int:
    """Rows of every table that is looked up by token id, padding included."""
    return config.padded_vocab_size or config.vocab_size
