"""karpathy/nanochat's tokenizer.pkl as a tokenizer of the tokenizers library, which gives the same ids for every text.

The file is a pickled `tiktoken.Encoding`. tiktoken knows tokens by rank alone: of all neighbours whose bytes together
are a token, it joins the pair of lowest rank first. The tokenizers library wants each rank's two parents instead. They
are found by taking the token's own bytes and joining as tiktoken would, until two pieces are left.
"""

from __future__ import annotations

import re
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers

from nanochat.errors import CheckpointError
from nanochat.model.folder import CONTROL_NAMES
from nanochat.model.inert_pickle import Instance, Name, read_pickle
from nanochat.model.weights import refuse_stand_ins

ENCODING = Name("tiktoken.core", "Encoding")
# The original's, whose users are told to change how many digits go together. The tokenizers library has another engine
# for patterns; that the two agree on this one is tested, and for a stranger's nobody knows.
SPLIT_PATTERN = re.compile(
    re.escape(
        r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,2}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"
    ).replace("2", "[1-9]", 1)
)
LARGEST_BYTES = 100_000_000
# Finding a token's parents takes steps in the square of its length. A vocabulary of 65,536 needs 5 million.
MOST_STEPS = 200_000_000


def read_tokenizer_pickle(file: Path) -> Tokenizer:
    """Read a tokenizer.pkl; nothing in it is run. Raises CheckpointError, which names the file."""
    if file.stat().st_size > LARGEST_BYTES:
        raise CheckpointError(f"{file.name} has {file.stat().st_size:,} bytes, more than a tokenizer ever has.")
    content = file.read_bytes()
    refuse_stand_ins(file, content)
    try:
        return make_tokenizer(_state(read_pickle(content, {ENCODING})))
    except CheckpointError as error:
        raise CheckpointError(f"{file.name} is refused: {error}") from error


def make_tokenizer(state: dict[str, Any]) -> Tokenizer:
    """Build the tokenizer from what tiktoken saves of an Encoding. Raises CheckpointError."""
    pattern, ranks = state.get("pat_str"), state.get("mergeable_ranks")
    if not isinstance(pattern, str) or not SPLIT_PATTERN.fullmatch(pattern):
        raise CheckpointError(
            "it splits text by another pattern than nanochat's, so its ids could come out differently."
        )
    tokens = _tokens_by_rank(ranks)
    _check_control_tokens(state.get("special_tokens"), len(tokens))
    vocabulary = {_spelled(token): rank for rank, token in enumerate(tokens)}
    known = {token: rank for rank, token in enumerate(tokens)}
    parents = [_parents(token, known) for token in tokens if len(token) > 1]
    merges = [(_spelled(left), _spelled(right)) for left, right in parents]
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    split = pre_tokenizers.Split(Regex(pattern), "isolated")
    spell = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, spell])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in CONTROL_NAMES])
    return tokenizer


def _state(value: Any) -> dict[str, Any]:
    if not isinstance(value, Instance) or value.made_by != ENCODING:
        raise CheckpointError("it is not a tiktoken Encoding.")
    if isinstance(value.state, str):
        raise CheckpointError(
            f"it only names tiktoken's own encoding {value.state[:50]!r}, which nanochat did not train."
        )
    if not isinstance(value.state, dict):
        raise CheckpointError("its Encoding is empty.")
    return value.state


def _tokens_by_rank(ranks: Any) -> list[bytes]:
    """Return the tokens in the order of their ranks. Raises CheckpointError where these are not 0, 1, 2 …"""
    if not isinstance(ranks, dict) or not all(
        isinstance(token, bytes) and token and type(rank) is int for token, rank in ranks.items()
    ):
        raise CheckpointError("its mergeable ranks are not a table of bytes and numbers.")
    tokens: list[bytes] = sorted(ranks, key=lambda token: ranks[token])
    if [ranks[token] for token in tokens] != list(range(len(tokens))):
        raise CheckpointError("its ranks have gaps or repeat.")
    if sum(len(token) == 1 for token in tokens) != 256:
        raise CheckpointError("it has no token for some bytes, so there are texts it cannot encode.")
    if sum(len(token) ** 2 for token in tokens) > MOST_STEPS:
        raise CheckpointError("its tokens are longer than training makes them.")
    return tokens


def _check_control_tokens(found: Any, first_id: int) -> None:
    expected = {name: first_id + place for place, name in enumerate(CONTROL_NAMES)}
    if not isinstance(found, dict) or found.keys() != expected.keys():
        raise CheckpointError(f"its special tokens are not nanochat's nine, {', '.join(CONTROL_NAMES)}.")
    if found != expected:
        raise CheckpointError("its special tokens do not follow the other tokens in nanochat's order.")


def _parents(token: bytes, ranks: dict[bytes, int]) -> list[bytes]:
    """Return the two pieces that are joined last when the token's bytes are encoded. Raises CheckpointError for none.

    They are the only parents a text can bring together: up to the last join, the bytes of a token in a text are
    joined in the same order as alone.
    """
    pieces = [token[place : place + 1] for place in range(len(token))]
    while len(pieces) > 2:
        joined = [ranks.get(left + right, len(ranks)) for left, right in pairwise(pieces)]
        lowest = min(joined)
        if lowest == len(ranks):
            raise CheckpointError(f"its token {token[:40]!r} cannot be joined from others: the file is damaged.")
        place = joined.index(lowest)
        pieces[place : place + 2] = [pieces[place] + pieces[place + 1]]
    return pieces


def _spelled(token: bytes) -> str:
    return "".join(map(_letters().__getitem__, token))


@cache
def _letters() -> tuple[str, ...]:
    """Return the printable character that stands for each byte in GPT-2's alphabet, which the library still uses.

    Printable Latin-1 stands for itself; the others take the characters from 256 on, in order.
    """
    printable = {*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)}
    others = iter(range(256, 512))
    return tuple(chr(byte if byte in printable else next(others)) for byte in range(256))
