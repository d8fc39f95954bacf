"""What karpathy/nanochat itself made, as the oracle of our tests: two generations, random weights, float32.

The tokenizer is a pickle; it is read here without running anything that it asks for.
"""

from __future__ import annotations

import json
import pickle
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers.convert_slow_tokenizer import bytes_to_unicode

GOLDEN = Path(__file__).parent / "golden"
ERAS = ("classic-2025", "current-2026")


@cache
def expected(era: str) -> dict[str, Any]:
    """Return the ids the original rendered: `cases`, `encode`, `sequences`, `greedy`."""
    return json.loads((GOLDEN / era / "expected.json").read_text())


@cache
def tokenizer(era: str) -> Tokenizer:
    """Return the original's tokenizer as a byte-level BPE of the tokenizers library."""
    encoding = _encoding(era)
    ranks = encoding["mergeable_ranks"]
    vocabulary = {_spelled(token): rank for token, rank in ranks.items()}
    merges = [_parents(token, ranks) for token in sorted(ranks, key=ranks.get) if len(token) > 1]
    made = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(encoding["pat_str"]), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    made.decoder = decoders.ByteLevel()
    names = sorted(encoding["special_tokens"], key=encoding["special_tokens"].get)
    made.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in names])
    return made


def _encoding(era: str) -> dict[str, Any]:
    with (GOLDEN / era / "tokenizer.pkl").open("rb") as file:
        return _Reader(file).load().state


class _Encoding:
    """Stands where the pickle names tiktoken's class, and keeps the state as it is."""

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.state = state


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> type:
        if (module, name) != ("tiktoken.core", "Encoding"):
            raise pickle.UnpicklingError(f"unexpected {module}.{name}")
        return _Encoding


def _spelled(token: bytes) -> str:
    alphabet = bytes_to_unicode()
    return "".join(alphabet[byte] for byte in token)


def _parents(token: bytes, ranks: dict[bytes, int]) -> tuple[str, str]:
    """Return the last two pieces from which the merges before this one build the token."""
    pieces = [token[place : place + 1] for place in range(len(token))]
    while len(pieces) > 2:
        pairs = [left + right for left, right in pairwise(pieces)]
        place = min(range(len(pairs)), key=lambda index: ranks.get(pairs[index], len(ranks)))
        pieces[place : place + 2] = [pairs[place]]
    return _spelled(pieces[0]), _spelled(pieces[1])
