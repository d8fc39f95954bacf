"""Saying again exactly what was said: words, names and sentences, most of them met for the first time.

Letters are counted, names remembered and numbers computed by copying what the user wrote, piece by piece. A word that
training has shown before can be guessed from its meaning instead ("biggest" came back as "largest"), so here most words
are invented: nothing but copying gets them right.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from random import Random

from nanochat.recipe.conversations.dialogue import Dialogue, Exchange, capitalized, deck, dialogue, wordings
from nanochat.recipe.conversations.reserved import HELD_OUT_NAMES, is_reserved_word
from nanochat.recipe.conversations.writing import is_gentle
from nanochat.recipe.corpus import Country

SHORTEST_INVENTED, LONGEST_INVENTED = 3, 12
_PARTS = re.compile(r"[^aeiouy]*[aeiouy]+(?:[^aeiouy]+$)?")


def invented_word(random: Random, words: Sequence[str]) -> str:
    """Return a word nobody knows: the beginning of one word and the end of another, sometimes with more between.

    None belongs to the held-out letter counts or names.
    """
    held_out = {name.lower() for name in HELD_OUT_NAMES}
    while True:
        syllables = random.choice((1, 2, 2, 3))
        word = "".join(random.choice(_PARTS.findall(random.choice(words)) or ["o"]) for _ in range(syllables))
        fits = SHORTEST_INVENTED <= len(word) <= LONGEST_INVENTED
        if fits and word not in held_out and not is_reserved_word(word):
            return word


def echoes(random: Random, words: list[str], sentences: Iterator[str]) -> Iterator[Dialogue]:
    """Yield requests to say something again: invented and common words, rows of words, short sentences."""
    short = [sentence for sentence in sentences if len(sentence.split()) <= 7 and is_gentle(sentence)]
    for kind in deck(random, ("told", "told", "word", "row", "row", "row", "row", "sentence")):
        yield dialogue(*(_echo(random, kind, words, short) for _ in range(random.choice((1, 1, 2)))))


def upper_case(random: Random, words: list[str], countries: list[Country]) -> Iterator[Dialogue]:
    """Yield requests to write something in capital letters: countries, capitals and common words."""
    known = [text for country in countries for text in (country.name, country.capital)]
    for text in deck(random, [*known, *words[:1500]]):
        wording = random.choice(wordings("in capital letters"))
        exchanges: list[Exchange] = [(wording.format(text=text), _shouted(text))]
        if random.random() < 0.3:
            other = random.choice(known)
            exchanges.append((f"And {other}?", _shouted(other)))
        yield dialogue(*exchanges)


def _shouted(text: str) -> str:
    # "Washington, D.C." brings its full stop with it.
    return f"{text.upper().rstrip('.')}."


def _echo(random: Random, kind: str, words: list[str], short: list[str]) -> Exchange:
    match kind:
        case "told":
            # Common words too: each is a token of its own, and copying one does not teach copying the others.
            word = invented_word(random, words) if random.random() < 0.4 else random.choice(words[:8000])
            return random.choice(wordings("my word")).format(word=word), f"Your word is {word}."
        case "sentence":
            text = answer = random.choice(short)
        case "row":
            # Long rows: each common word has to be copied some twenty times before it is told from its neighbours.
            row = [invented_word(random, words), *random.sample(words[:8000], random.randint(2, 7))]
            text = " ".join(random.sample(row, len(row)))
            answer = f"{capitalized(text)}."
        case _:
            text = random.choice(words[:6000])
            answer = f"{capitalized(text)}."
    return random.choice(wordings("say sentence" if kind == "sentence" else "say word")).format(text=text), answer
