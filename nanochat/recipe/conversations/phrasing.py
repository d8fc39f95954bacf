"""How people really type: lower case, no full stop, a greeting in front, a slip of the finger.

Only questions are roughened; answers stay clean, so that the model understands sloppy English and writes good English.
"""

from __future__ import annotations

from random import Random

_OPENINGS = (
    "Hey, ",
    "Hi, ",
    "Please ",
    "OK, ",
    "So, ",
    "Hello! ",
    "Hi! ",
    "Well, ",
    "Now ",
    "Quick question: ",
    "Um, ",
)
_CLOSINGS = (" Please.", " Thanks.", " please", " thanks", " Thank you!", " pls")
_KEYS = {
    "a": "s", "b": "v", "c": "x", "d": "f", "e": "r", "f": "g", "g": "h", "h": "j", "i": "o", "k": "l", "l": "k",
    "m": "n", "n": "m", "o": "p", "p": "o", "r": "t", "s": "a", "t": "y", "u": "i", "v": "b", "w": "e", "y": "u",
}  # fmt: skip


def roughened(random: Random, question: str, *, typos: bool = True) -> str:
    """Return the question as a hurried person might type it; more than half the time it is left as it is."""
    if random.random() < 0.45:
        return question
    if random.random() < 0.12 and len(question) < 90:
        question = _with_opening(random, question)
    if random.random() < 0.08 and len(question) < 90:
        question += random.choice(_CLOSINGS)
    if random.random() < 0.25:
        question = _shortened(question)
    if typos and random.random() < 0.12:
        question = _with_typo(random, question)
    if random.random() < 0.45:
        question = question.lower()
    if random.random() < 0.5:
        question = question.rstrip("?.!") or question
    elif random.random() < 0.04:
        question += random.choice(("?", "!", "??", " ?", "..."))
    return question


def _with_opening(random: Random, question: str) -> str:
    opening = random.choice(_OPENINGS)
    first = question.split(" ", 1)[0]
    keeps_case = first in ("I", "I'm") or opening.endswith("! ") or not first.istitle()
    return opening + (question if keeps_case else question[:1].lower() + question[1:])


def _shortened(question: str) -> str:
    for long, short in (("What is ", "What's "), ("Who is ", "Who's "), ("I am ", "I'm "), ("Where is ", "Where's ")):
        if question.startswith(long):
            return short + question[len(long) :]
    return question


def _with_typo(random: Random, question: str) -> str:
    """Swap, drop, double or mistype one letter inside a word of five letters or more."""
    words = question.split(" ")
    places = [index for index, word in enumerate(words) if len(word) >= 5 and word.isalpha()]
    if not places:
        return question
    place = random.choice(places)
    word = words[place]
    letter = random.randrange(1, len(word) - 1)
    match random.randrange(4):
        case 0:
            word = word[:letter] + word[letter + 1] + word[letter] + word[letter + 2 :]
        case 1:
            word = word[:letter] + word[letter + 1 :]
        case 2:
            word = word[:letter] + word[letter] + word[letter:]
        case _:
            word = word[:letter] + _KEYS.get(word[letter], word[letter]) + word[letter + 1 :]
    words[place] = word
    return " ".join(words)
