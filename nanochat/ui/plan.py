"""What the model card is drawn from: a model in numbers, and a sentence in its tokens."""

from __future__ import annotations

from dataclasses import dataclass

from nanochat.chat.template import ChatTemplate
from nanochat.model.configuration_nanochat import NanoChatConfig
from nanochat.model.facts import ModelFacts

SENTENCE = "The fox ran home."


@dataclass(frozen=True, slots=True)
class Sample:
    """A token of the sentence, by its text and its id."""

    name: str
    id: int


@dataclass(frozen=True, slots=True)
class Plan:
    """A model as the card needs it: `facts` were counted while its weights lay in memory, on ZeroGPU they leave it."""

    facts: ModelFacts
    config: NanoChatConfig
    sentence: tuple[Sample, ...]
    control_tokens: int
    kv_bytes_a_token: int

    @property
    def windows(self) -> tuple[int, ...]:
        """How many tokens each layer sees, where that is fewer than all."""
        seen = (layer.window_tokens for layer in self.facts.layers)
        return tuple(window for window in seen if window < self.facts.context_tokens)

    @property
    def value_layers(self) -> int:
        """In how many layers values are looked up by token."""
        return sum(layer.value_embedding for layer in self.facts.layers)

    @property
    def halfway(self) -> int:
        """The number of the layer after which the stream is kept, to be taken out at the end."""
        return len(self.facts.layers) // 2 + 1

    @property
    def additions(self) -> tuple[str, ...]:
        """What the current architecture added, of that which this model has."""
        config = self.config
        present = {
            "smear": config.smear,
            "a residual mix": config.residual_lambdas,
            "value embeddings": config.value_embeddings,
            "backout": config.backout,
        }
        return tuple(name for name, there in present.items() if there)

    @property
    def quantized_bits(self) -> tuple[int, ...]:
        """With how many bits weights are kept that are whole numbers, each kind once; empty where none are."""
        tensors = (tensor for tensor in self.facts.tensors if tensor.parameters and "float" not in tensor.dtype)
        return tuple(sorted({8 * tensor.size_bytes // tensor.parameters for tensor in tensors}))

    @property
    def activation(self) -> str:
        """The curve inside the MLP, as it is called outside of code."""
        name = self.config.hidden_act
        return {"relu2": "relu²", "gelu_new": "GELU"}.get(name, name)

    @property
    def rope_base(self) -> float:
        return float((self.config.rope_parameters or {})["rope_theta"])


def sentence_of(template: ChatTemplate) -> tuple[Sample, ...]:
    """Cut the sentence by the model's own tokenizer."""
    return tuple(Sample(template.token_name(token_id), token_id) for token_id in template.encode(SENTENCE))
