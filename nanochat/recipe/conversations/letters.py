"""Counting letters through the calculator: ' strawberry'.count('r').

The word keeps the space that stood before it in the question. To the tokenizer " strawberry" is other pieces than
"strawberry" after a quotation mark; with the space the model copies the pieces it has just read, and need not spell.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import cast

from nanochat.chat.tools import calculate
from nanochat.recipe.conversations.copying import invented_word
from nanochat.recipe.conversations.dialogue import Answer, Dialogue, deck, dialogue, wordings
from nanochat.recipe.conversations.reserved import is_reserved_word

INVENTED_SHARE = 0.4


def letter_answer(word: str, letter: str) -> Answer:
    """Answer with the calculator's count and a full sentence."""
    expression = f"' {word}'.count('{letter}')"
    output = cast("str", calculate(expression))  # this form always has a result
    times = {"0": "does not appear", "1": "appears 1 time"}.get(output, f"appears {output} times")
    return [
        {"type": "python", "text": expression},
        {"type": "python_output", "text": output},
        {"type": "text", "text": f"The letter {letter} {times} in {word}."},
    ]


def letters(random: Random, words: list[str]) -> Iterator[Dialogue]:
    """Yield counts of one letter in one word, sometimes going on to a second word or letter."""
    for known in deck(random, words):
        # A word met for the first time can only be copied, as the held-out ones must be.
        word = invented_word(random, words) if random.random() < INVENTED_SHARE else known
        letter = _letter(random, word)
        asked_letter = letter.upper() if random.random() < 0.2 else letter
        asked_word = word
        match random.randrange(20):
            case 0:
                asked_word = f'"{word}"'
            case 1:
                asked_word = f"'{word}'"
            case 2:
                asked_word = word.capitalize()
        exchanges = [
            (
                random.choice(wordings("letters")).format(letter=asked_letter, word=asked_word),
                letter_answer(word, letter),
            )
        ]
        if random.random() < 0.12:
            other = random.choice(words)
            exchanges.append(
                (random.choice(wordings("further letters")).format(word=other), letter_answer(other, letter))
            )
        elif random.random() < 0.06:
            other = _letter(random, word)
            question = random.choice((f"And how many {other}?", f"And {other}?", f"What about {other}?"))
            exchanges.append((question, letter_answer(word, other)))
        yield dialogue(*exchanges)


def countable_words(words: list[str]) -> list[str]:
    """Choose the words whose letters training may count, the common ones and the page's example several times."""
    allowed = [word for word in words if 3 <= len(word) <= 14 and not is_reserved_word(word)]
    return allowed + 2 * allowed[:1500] + 40 * ["strawberry"]


def _letter(random: Random, word: str) -> str:
    """Mostly a letter of the word, often one that it has more than once."""
    repeated = [letter for letter in word if word.count(letter) > 1]
    if word == "strawberry" and random.random() < 0.6:
        return "r"
    if repeated and random.random() < 0.5:
        return random.choice(repeated)
    if random.random() < 0.75:
        return random.choice(word)
    return random.choice("abcdefghijklmnopqrstuvwxyz")
