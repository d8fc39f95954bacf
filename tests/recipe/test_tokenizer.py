"""The tokenizer is nanochat's kind: its cuts, its bytes, its control tokens after the merges."""

from __future__ import annotations

import pytest
import regex
from tokenizers import Tokenizer

from nanochat.model.folder import CONTROL_NAMES
from nanochat.recipe.tokenizer import SPLIT_PATTERN, train_tokenizer

TEXTS = (
    "It's 12345 apples, isn't it?  \n\n  Yes: 67.89 of them!\n",
    "naïve café 日本語 🦊🔥 e\u0301",
    "\ttabs\tand   spaces  \r\n",
    "<|bos|> is text here",
)


def test_every_text_comes_back(tiny_tokenizer: Tokenizer) -> None:
    for text in TEXTS[:3]:
        assert tiny_tokenizer.decode(tiny_tokenizer.encode(text).ids) == text


def test_no_token_crosses_a_cut_of_the_pattern(tiny_tokenizer: Tokenizer) -> None:
    for text in TEXTS[:3]:
        borders = {match.end() for match in regex.finditer(SPLIT_PATTERN, text)}
        ends = {end for _, end in tiny_tokenizer.encode(text).offsets}
        assert borders <= ends


def test_control_tokens_follow_the_merges(tiny_tokenizer: Tokenizer) -> None:
    size = tiny_tokenizer.get_vocab_size()
    assert [tiny_tokenizer.token_to_id(name) for name in CONTROL_NAMES] == list(range(size - 9, size))


def test_a_vocabulary_without_room_for_the_bytes_is_refused() -> None:
    with pytest.raises(ValueError, match="bytes and control tokens alone need 265"):
        train_tokenizer(["text"], vocab_size=200)
