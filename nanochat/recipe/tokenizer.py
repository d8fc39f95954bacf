"""Byte-pair encoding in nanochat's manner: its split pattern, bytes below, nine control tokens on top.

The pattern cuts text before any merge: words with the space before them, at most two digits at a time, punctuation
and whitespace by themselves. A merge never crosses a cut. Every byte is a token, so no text is out of reach.

Source of pattern and control tokens: karpathy/nanochat, tokenizer.py.
"""

from __future__ import annotations

from collections.abc import Iterable

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from nanochat.model.folder import CONTROL_NAMES

SPLIT_PATTERN = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,2}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"
)


def train_tokenizer(texts: Iterable[str], vocab_size: int) -> Tokenizer:
    """Learn merges from `texts`; the ids of the control tokens follow those of the merges, as in the original.

    Raises ValueError where vocab_size leaves no room for the bytes and the control tokens.
    """
    smallest = 256 + len(CONTROL_NAMES)
    if vocab_size < smallest:
        raise ValueError(f"vocab_size is {vocab_size}, but bytes and control tokens alone need {smallest}.")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT_PATTERN), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size - len(CONTROL_NAMES),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in CONTROL_NAMES])
    return tokenizer
