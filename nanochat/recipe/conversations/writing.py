"""Sentences with a given word, what words mean, and how they are spelled."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from random import Random

from nanochat.recipe.conversations.dialogue import Dialogue, deck, dialogue, table, wordings

COMMON_WORDS = 2500
SPELLED_WORDS = 600
_HARSH = re.compile(
    r"\b(?:kill|die|dead|murder|sex|rape|suicide|naked|drunk|hell|damn|shoot|gun|blood|god|hate|pregnan|kiss|love|lover|marr|prison|stupid|idiot|fat|women)\w*",
    re.IGNORECASE,
)


def is_gentle(sentence: str) -> bool:
    """Whether a sentence can be said to anyone: nothing of violence, hate or love affairs in it."""
    return _HARSH.search(sentence) is None


def sentences_with_words(random: Random, sentences: Iterator[str], words: list[str]) -> Iterator[Dialogue]:
    """Yield requests for a sentence with a common word, answered with a short sentence that has it."""
    wanted = {word for word in words[:COMMON_WORDS] if len(word) > 3}
    found: dict[str, list[str]] = defaultdict(list)
    for sentence in sentences:
        spoken = sentence.lower().rstrip(".!").split()
        if 4 <= len(spoken) <= 10 and sentence.endswith((".", "!")) and is_gentle(sentence):
            for word in wanted.intersection(spoken):
                if len(found[word]) < 8:
                    found[word].append(sentence)
    for word in deck(random, sorted(found)):
        yield dialogue((random.choice(wordings("sentence")).format(word=word), random.choice(found[word])))


def word_meanings(random: Random) -> Iterator[Dialogue]:
    """Yield the meanings of common adjectives and verbs, written by hand as the definitions are."""
    for word, meaning in deck(random, list(table("meanings").items())):
        bare = word.removeprefix("to ")
        answer = f"To {bare} means {meaning}." if bare != word else f"The word {word} means {meaning}."
        yield dialogue((random.choice(wordings("meaning")).format(word=bare), answer))


def spelling(random: Random, words: list[str]) -> Iterator[Dialogue]:
    """Yield the letters of the most common words, one by one."""
    for word in deck(random, [word for word in words[:SPELLED_WORDS] if len(word) <= 8]):
        yield dialogue(
            (random.choice(wordings("spelling")).format(word=word), f"The word {word} is spelled {'-'.join(word)}.")
        )
