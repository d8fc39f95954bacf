"""How an answer is scored: small pure functions from the visible text to points between 0 and 1."""

from __future__ import annotations

import re
from collections import Counter

from nanochat.recipe.conversations.dialogue import first_sentence

SHORTEST_STORY_WORDS = 80
TRUE_OVERLAP = 0.35  # a definition counts as matching its reference from this share of content words on
_NUMBER_WORDS = "zero one two three four five six seven eight nine ten eleven twelve".split()
_STOP_WORDS = frozenset(
    "a an the is are was were be been it its of in on at to for from with and or but not that this these those which who whom "
    "what when where why how as by into than then so such some any all many most more much very can may will would should could "
    "do does did has have had one two people person thing things something used make made called also they them their there he "
    "she his her you your we us our i my me about often like other way kind".split()
)


def number_is(answer: str, expected: float) -> float:
    """One point when the answer's last number is the expected one; a rounded result may be 0.01 off or 0.01 of itself."""
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
    words = [word for word in re.findall(r"[a-z]+", answer.lower()) if word in _NUMBER_WORDS]
    return float(bool(words) and _NUMBER_WORDS.index(words[0]) == expected)


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
    """Return the share of the reference's content words that the answer's first sentence has (both cut to their first)."""
    wanted = content_words(first_sentence(reference)) - content_words(topic)
    given = content_words(first_sentence(answer))
    return len(wanted & given) / len(wanted) if wanted else 0.0


def content_words(text: str) -> set[str]:
    """Return the words that carry meaning, cut to their first five letters so that forms of a word match."""
    return {word[:5] for word in re.findall(r"[a-z]+", text.lower()) if word not in _STOP_WORDS}


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
