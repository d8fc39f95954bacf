"""How an answer is scored: small pure functions from the visible text to points between 0 and 1."""

from __future__ import annotations

import re
from collections import Counter

from nanochat.recipe.conversations.dialogue import first_sentence, table

SHORTEST_STORY_WORDS = 80
TRUE_OVERLAP = 0.35  # a definition counts as matching its reference from this share of content words on


def number_is(answer: str, expected: float) -> float:
    """One point when the answer's last number is the expected one, or a fraction rightly rounded to two decimals."""
    found = re.findall(r"-?\d[\d,]*(?:\.\d+)?", answer)
    if not found:
        return 0.0
    value = float(found[-1].replace(",", ""))
    if "less than" in answer:
        return float(0 <= expected < value)
    exact = float(expected).is_integer()
    return float(value == expected if exact else abs(value - expected) <= 0.00501)


def count_is(answer: str, expected: int) -> float:
    """One point when the answer says how often: a digit, a number word, or "not" for zero."""
    found = re.findall(r"\d+", answer)
    if found:
        return float(int(found[0]) == expected)
    if re.search(r"\b(?:no|not|never|none)\b", answer):
        return float(expected == 0)
    numbers: list[str] = table("lists")["units"]
    words = [word for word in re.findall(r"[a-z]+", answer.lower()) if word in numbers]
    return float(bool(words) and numbers.index(words[0]) == expected)


def contains(answer: str, expected: str, *, same_case: bool = False) -> float:
    """One point when the expected word or words stand in the answer, as whole words."""
    flags = 0 if same_case else re.IGNORECASE
    return float(re.search(rf"(?<!\w){re.escape(expected)}(?!\w)", answer, flags) is not None)


def shouts(answer: str, expected: str) -> float:
    """One point when the expected words stand in the answer and no letter is small."""
    return float(expected.upper() in answer and not any(character.islower() for character in answer))


def is_one_sentence(answer: str) -> float:
    """One point for exactly one sentence."""
    text = answer.strip()
    return float(text[-1:] in (".", "!") and first_sentence(text) == text)


def overlap(answer: str, reference: str, topic: str) -> float:
    """Return the share of content words of the reference's first sentence that the answer's first sentence has."""
    wanted = content_words(first_sentence(reference)) - content_words(topic)
    given = content_words(first_sentence(answer))
    return len(wanted & given) / len(wanted) if wanted else 0.0


def content_words(text: str) -> set[str]:
    """Return the words that carry meaning, cut to their first five letters so that forms of a word match."""
    return {word[:5] for word in re.findall(r"[a-z]+", text.lower()) if word not in table("lists")["stop words"]}


def story_of(answer: str, hero: str) -> float:
    """One point for a story that names its hero twice, has eighty words, ends in a sentence and does not loop."""
    named = len(re.findall(rf"\b{re.escape(hero)}", answer, re.IGNORECASE)) >= 2
    long_enough = len(answer.split()) >= SHORTEST_STORY_WORDS
    return float(named and long_enough and ends_in_sentence(answer) and not loops(answer))


def ends_in_sentence(answer: str) -> bool:
    """Whether the text stops where a sentence stops."""
    return answer.rstrip().endswith((".", "!", "?", '."', '!"', '?"'))


def loops(answer: str, words: int = 6, times: int = 3) -> bool:
    """Whether a run of `words` words comes back `times` times."""
    spoken = re.findall(r"\w+", answer.lower())
    runs = Counter(tuple(spoken[place : place + words]) for place in range(len(spoken) - words + 1))
    return bool(runs) and max(runs.values()) >= times
