"""What training never sees, so that scoring measures understanding and not memory.

Numbers and words are drawn by a checksum of their text: a fixed part of all pairs of numbers, and of all words whose
letters are counted, belongs to the held-out questions. Names and wordings are listed.
"""

from __future__ import annotations

from zlib import crc32

HELD_OUT_NAMES = (
    "Agnes", "Alfred", "Beatrice", "Bruno", "Cecilia", "Clara", "Conrad", "Doris", "Edgar", "Elsa", "Ernest", "Fiona",
    "Flora", "Gloria", "Harold", "Hazel", "Hugo", "Ingrid", "Iris", "Ivan", "Jasper", "Judith", "Karl", "Laura",
    "Leonard", "Linda", "Lorenzo", "Louise", "Marco", "Martha", "Miranda", "Monica", "Nadia", "Natalie", "Norman",
    "Olga", "Oscar", "Otto", "Pamela", "Patrick", "Ralph", "Rita", "Roland", "Rosa", "Sylvia", "Tina", "Ursula",
    "Victor", "Viola", "Walter",
)  # fmt: skip
NAME_QUESTION = "Tell me, what was my name again?"

CAPITAL_WORDINGS = (
    "Which city is the capital of {country}?",
    "Name the capital of {country}.",
    "Do you know the capital of {country}?",
    "I would like to know the capital city of {country}.",
    "What city is the capital of {country}?",
    "{country}: what is its capital city?",
    "What is {country}'s capital city called?",
    "The capital of {country} is which city?",
    "Could you please tell me the capital of {country}?",
    "If I visit the capital of {country}, which city am I in?",
)
DEFINITION_WORDINGS = (
    "Explain what {topic} is.",
    "Could you describe to me what {topic} is?",
    "Give me a simple definition of {bare}.",
    "I never heard of {topic}. What is it?",
)
OPPOSITE_WORDING = "Which word means the opposite of {word}?"
SYMBOL_WORDING = "Which symbol does {element} have?"
CONTINENT_WORDING = "{country} lies on which continent?"
STORY_WORDINGS = ("Could you write a little story about {hero}?", "I would love to hear a story with {hero} in it.")


def is_reserved_sum(left: int, right: int) -> bool:
    """Whether a pair of numbers belongs to the held-out sums; pairs of small numbers never do."""
    return max(abs(left), abs(right)) >= 20 and crc32(f"{left} {right}".encode()) % 25 == 0


def is_reserved_word(word: str) -> bool:
    """Whether a word belongs to the held-out letter counts; the page's own example never does."""
    return word != "strawberry" and crc32(word.encode()) % 12 == 0
