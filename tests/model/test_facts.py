from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import DynamicCache

from nanochat import NanoChatConfig, NanoChatForCausalLM
from nanochat.model.facts import PartFacts, facts_of

CURRENT = {
    "vocab_size": 100,
    "padded_vocab_size": 128,
    "hidden_size": 48,
    "intermediate_size": 192,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 600,
    "window_pattern": "SL",
    "sliding_window": 5,
    "value_embeddings": True,
    "residual_lambdas": True,
    "smear": True,
    "backout": True,
}


def drawn_up(**sizes: object) -> NanoChatForCausalLM:
    with torch.device("meta"):
        return NanoChatForCausalLM(NanoChatConfig(**sizes))


def numbers(part: PartFacts) -> dict[str, int]:
    return {piece.name: piece.parameters for piece in part.parts}


def test_the_tiny_model_counts_as_it_does_by_hand(tiny_model: NanoChatForCausalLM) -> None:
    facts = facts_of(tiny_model)
    # 384 rows of 32; in two layers q, o of 32 x 32, k, v of 32 x 16, fc1, fc2 of 32 x 128; the head again 384 x 32.
    assert numbers(facts.whole) == {"embedding": 12_288, "attention": 6_144, "mlp": 16_384, "head": 12_288}
    assert numbers(facts.whole.part("attention")) == {"q_proj": 2048, "k_proj": 1024, "v_proj": 1024, "o_proj": 2048}
    assert numbers(facts.whole.part("mlp")) == {"fc1": 8192, "fc2": 8192}
    assert facts.parameters == 47_104
    assert facts.size_bytes == 4 * 47_104
    assert facts.dtype == "float32"
    # A key and a value of two heads of 8 channels of 4 bytes, in two layers.
    assert facts.kv_bytes_a_token == 2 * 2 * 8 * 4 * 2
    assert (facts.heads, facts.kv_heads, facts.head_size) == (4, 2, 8)
    assert (facts.hidden_size, facts.intermediate_size, facts.vocabulary, facts.context_tokens) == (32, 128, 384, 256)
    assert [layer.parameters for layer in facts.layers] == [11_264, 11_264]
    assert facts.additions == ()


def test_the_tensors_one_by_one_are_all_there_is() -> None:
    model = drawn_up(**CURRENT)
    facts = facts_of(model)
    assert {tensor.name: tensor.shape for tensor in facts.tensors} == {
        name: tuple(tensor.shape) for name, tensor in model.state_dict().items()
    }
    assert sum(tensor.parameters for tensor in facts.tensors) == facts.parameters
    assert sum(tensor.size_bytes for tensor in facts.tensors) == facts.size_bytes


@pytest.mark.parametrize(
    ("layers", "width", "parameters", "kv_bytes"),
    # The three models karpathy published, by his own arithmetic: width 64 a layer, heads of 128, vocabulary 65,536.
    [(20, 1280, 560_988_160, 102_400), (32, 2048, 1_879_048_192, 262_144), (34, 2176, 2_217_082_880, 295_936)],
)
def test_the_published_models_have_the_size_they_are_known_by(
    layers: int, width: int, parameters: int, kv_bytes: int
) -> None:
    model = drawn_up(
        vocab_size=65_536,
        hidden_size=width,
        intermediate_size=4 * width,
        num_hidden_layers=layers,
        num_attention_heads=width // 128,
        max_position_embeddings=2048,
    ).bfloat16()
    facts = facts_of(model)
    assert facts.parameters == parameters == 65_536 * width * 2 + layers * 12 * width * width
    assert facts.size_bytes == 2 * parameters
    assert facts.kv_bytes_a_token == kv_bytes == 2 * width * 2 * layers
    assert facts.flops_a_token(0) == 2 * (parameters - 65_536 * width) + 4 * width * layers


def test_the_additions_of_the_current_architecture_are_counted_apart() -> None:
    facts = facts_of(drawn_up(**CURRENT))
    assert numbers(facts.whole)["embedding"] == numbers(facts.whole)["head"] == 128 * 48
    other = numbers(facts.whole.part("other"))
    # Two layers with a table of 128 rows of 2 heads of 12 channels, and a gate of 12 channels for each head.
    assert other["value_embedding"] == 2 * (128 * 24 + 12 * 2)
    assert other["smear"] == 24 + 1
    assert other["backout"] == 1
    assert sum(other.values()) == other["value_embedding"] + 25 + 1 + 4 * 2
    assert [layer.window_tokens for layer in facts.layers] == [5, 600, 5, 600]
    assert [layer.value_embedding for layer in facts.layers] == [False, True, False, True]
    assert facts.additions == ("value embeddings", "sliding windows", "residual mixes", "smear", "backout")


@pytest.mark.parametrize("sizes", [{}, CURRENT], ids=["classic", "current"])
def test_every_number_of_the_model_is_in_one_part(sizes: dict[str, object]) -> None:
    model = drawn_up(
        **(sizes or {"vocab_size": 50, "hidden_size": 24, "num_attention_heads": 2, "attention_bias": True})
    )
    whole = facts_of(model).whole
    assert whole.parameters == sum(tensor.numel() for tensor in model.state_dict().values())
    assert whole.size_bytes == sum(tensor.nbytes for tensor in model.state_dict().values())
    for part in (whole, *whole.parts):
        if part.parts:
            assert part.parameters == sum(piece.parameters for piece in part.parts)
            assert part.size_bytes == sum(piece.size_bytes for piece in part.parts)


def test_a_shared_head_is_counted_once() -> None:
    facts = facts_of(drawn_up(vocab_size=50, hidden_size=24, num_attention_heads=2, tie_word_embeddings=True))
    assert "head" not in numbers(facts.whole)
    assert numbers(facts.whole)["embedding"] == 50 * 24


@pytest.mark.parametrize("position", [0, 1, 4, 5, 17])
@pytest.mark.parametrize("sizes", [{}, CURRENT], ids=["classic", "current"])
@torch.no_grad()
def test_torch_counts_the_same_flops(sizes: dict[str, object], position: int, tiny_model: NanoChatForCausalLM) -> None:
    model = NanoChatForCausalLM(NanoChatConfig(**(sizes or tiny_model.config.to_dict()))).eval()
    model.set_attn_implementation("eager")
    cache = DynamicCache(config=model.config)
    if position:
        model(torch.zeros(1, position, dtype=torch.long), past_key_values=cache)
    with FlopCounterMode(display=False) as counter:
        model(torch.zeros(1, 1, dtype=torch.long), past_key_values=cache)
    assert facts_of(model).flops_a_token(position) == counter.get_total_flops()
