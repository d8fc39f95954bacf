"""The plan of a training run: the model's size and what each stage spends."""

from __future__ import annotations

from dataclasses import dataclass

from nanochat.model.configuration_nanochat import NanoChatConfig


@dataclass(frozen=True, slots=True)
class Stage:
    """One stretch of training at one context length.

    tokens: how many tokens it reads; batch_tokens: how many before each update.
    Rates are peaks; the last `cooldown_share` of the steps falls from there.
    """

    name: str
    tokens: int
    sequence_length: int
    batch_tokens: int = 8_192
    matrix_learning_rate: float = 0.01
    embedding_learning_rate: float = 0.05
    head_learning_rate: float = 0.003
    weight_decay: float = 0.0
    warmup_steps: int = 40
    cooldown_share: float = 0.4

    @property
    def steps(self) -> int:
        return max(1, self.tokens // self.batch_tokens)

    @property
    def batch_rows(self) -> int:
        return self.batch_tokens // self.sequence_length


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole run: the shape of the model, its stages in order, and the seed of everything random.

    conversation_scale: multiplies how many conversations of each subject the recipe makes.
    """

    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    vocab_size: int
    pretrain: Stage
    finetune: Stage
    max_position_embeddings: int = 1_024
    conversation_scale: float = 1.0
    seed: int = 20_260_101

    def config(self, bos_token_id: int, eos_token_id: int) -> NanoChatConfig:
        """Return the model's configuration; the MLP is four times as wide as the stream, as in the original."""
        return NanoChatConfig(
            vocab_size=self.vocab_size,
            hidden_size=self.hidden_size,
            intermediate_size=4 * self.hidden_size,
            num_hidden_layers=self.num_hidden_layers,
            num_attention_heads=self.num_attention_heads,
            max_position_embeddings=self.max_position_embeddings,
            bos_token_id=bos_token_id,
            eos_token_id=eos_token_id,
            # A row named as padding would get no gradient.
            pad_token_id=None,
        )


PLANS = {
    # About ten minutes on two CPU cores, to watch every part at work: it speaks in sentences and knows next to nothing.
    "tiny": Plan(
        hidden_size=128,
        num_hidden_layers=4,
        num_attention_heads=2,
        vocab_size=4_096,
        pretrain=Stage("pretrain", tokens=2_000_000, sequence_length=256, batch_tokens=4_096),
        finetune=Stage("finetune", tokens=2_000_000, sequence_length=512, batch_tokens=4_096, cooldown_share=0.6),
        conversation_scale=0.2,
    ),
    # About two hours on two CPU cores: the first model this project shipped.
    "small": Plan(
        hidden_size=256,
        num_hidden_layers=6,
        num_attention_heads=4,
        vocab_size=4_096,
        pretrain=Stage("pretrain", tokens=14_000_000, sequence_length=256),
        finetune=Stage("finetune", tokens=14_000_000, sequence_length=512, cooldown_share=0.6),
    ),
    # The largest that 34 MB of bfloat16 weights hold: minutes on a GPU, a day on two CPU cores.
    "full": Plan(
        hidden_size=384,
        num_hidden_layers=6,
        num_attention_heads=6,
        vocab_size=8_192,
        pretrain=Stage("pretrain", tokens=250_000_000, sequence_length=512, batch_tokens=32_768),
        finetune=Stage("finetune", tokens=80_000_000, sequence_length=1_024, batch_tokens=32_768, cooldown_share=0.6),
    ),
}
"""Plans by name; the embedded model's card says which one made it."""
