"""What many tests share: a model too small to know anything, with a real tokenizer, in memory and as a folder."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer

from nanochat import NanoChatConfig, NanoChatForCausalLM
from nanochat.chat.template import ChatTemplate
from nanochat.model.folder import save_folder
from nanochat.recipe.tokenizer import train_tokenizer

LINES = (
    "The fox ran through the forest until the river stopped it.",
    "What is the capital of France? The capital of France is Paris.",
    "What is 123 * 456? Let me compute: 123*456 = 56088, and 12 + 34 = 46.",
    "Hello! I'm a small language model, and we'll see what you've asked me.",
    "def twice(number):\n    return 2 * number\n\n\nprint(twice(21))",
    "Größe, naïve, 日本語, 🦊🔥, e\u0301, and a  double space.",
)


@pytest.fixture(scope="session")
def tiny_tokenizer() -> Tokenizer:
    """A byte-level BPE with nanochat's split pattern and its nine control tokens, learned from a few lines."""
    return train_tokenizer(LINES, vocab_size=384)


@pytest.fixture(scope="session")
def tiny_template(tiny_tokenizer: Tokenizer) -> ChatTemplate:
    return ChatTemplate(tiny_tokenizer)


@pytest.fixture(scope="session")
def tiny_model(tiny_tokenizer: Tokenizer) -> NanoChatForCausalLM:
    """Seeded random weights, large enough that logits differ by more than rounding does."""
    config = NanoChatConfig(
        vocab_size=tiny_tokenizer.get_vocab_size(),
        hidden_size=32,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
        initializer_range=0.2,
        bos_token_id=tiny_tokenizer.token_to_id("<|bos|>"),
        eos_token_id=tiny_tokenizer.token_to_id("<|assistant_end|>"),
        pad_token_id=None,
    )
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return NanoChatForCausalLM(config).eval()


@pytest.fixture(scope="session")
def tiny_checkpoint(
    tiny_model: NanoChatForCausalLM, tiny_tokenizer: Tokenizer, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The same model and tokenizer as a folder on disk. Shared by all tests: copy it before damaging it."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    save_folder(tiny_model, tiny_tokenizer, folder, card="# A model for tests\n")
    return folder
