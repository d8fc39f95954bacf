"""The questions that the model is scored on, each with a check of the answer; training never sees them.

Sums and words come from the part that `reserved` keeps back, names and wordings from its lists. One wording is known:
"What is the capital of France?" is what people ask, so it is trained and asked here too; ten other wordings are not.
A check is a small pure function from the visible answer to points between 0 and 1.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from typing import TypeVar

from nanochat.recipe import checks, corpus
from nanochat.recipe.conversations import reserved
from nanochat.recipe.conversations.definitions import everyday_things
from nanochat.recipe.conversations.dialogue import capitalized, table, with_article
from nanochat.recipe.conversations.geography import PLAIN_CAPITAL

SEED = 20_250_000
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked (the last message is the user's), how the answer is scored, and what a good one would be."""

    subject: str
    messages: tuple[dict[str, str], ...]
    score: Callable[[str], float]
    reference: str


def held_out_questions(folder: Path) -> list[Question]:
    """Return all questions, subject by subject; the same every time."""
    random = Random(SEED)
    countries = corpus.countries(folder)
    makers: tuple[Iterator[Question], ...] = (
        sums(random, 200),
        letter_counts(random, corpus.common_words(folder), 100),
        capitals(countries),
        capitals_reworded(random, countries),
        facts(random, countries, corpus.elements(folder)),
        definitions(random),
        names(random),
        follow_ups(random, countries, 50),
        stories(random, 50),
        system_messages(random, countries),
    )
    return [question for maker in makers for question in maker]


def held_out_texts(folder: Path) -> frozenset[str]:
    """Return the plain form of every question that training must not hold; the known capital wording is allowed."""
    allowed = {plain(PLAIN_CAPITAL.format(country=country.name)) for country in corpus.countries(folder)}
    asked = {plain(question.messages[-1]["content"]) for question in held_out_questions(folder) if _is_unseen(question)}
    return frozenset(asked - allowed)


def plain(text: str) -> str:
    """Reduce a question to its letters, digits and signs, so that case and punctuation make no difference."""
    return " ".join(re.findall(r"[a-z0-9]+|[-+*/]", text.lower()))


def sums(random: Random, count: int) -> Iterator[Question]:
    """Yield sums of two reserved numbers, five digits at most, an even part for each sign."""
    for place in range(count):
        sign = "+-*/"[place % 4]
        while True:
            left, right = (random.randrange(1, 10 ** random.randint(1, 5)) for _ in range(2))
            if sign == "/" and place % 8 > 3:
                left = right * random.randrange(1, 1 + 99_999 // right)
            if reserved.is_reserved_sum(left, right):
                break
        wording = random.choice(("What is {sum}?", "Calculate {sum}.", "{sum}", "How much is {sum}?", "what's {sum}"))
        word = {"+": "plus", "-": "minus", "*": "times", "/": "divided by"}[sign]
        shown = random.choice((f"{left} {sign} {right}", f"{left}{sign}{right}", f"{left} {word} {right}"))
        value = {"+": left + right, "-": left - right, "*": left * right, "/": left / right}[sign]
        yield _single("arithmetic", wording.format(sum=shown), partial(checks.number_is, expected=value), str(value))


def letter_counts(random: Random, words: list[str], count: int) -> Iterator[Question]:
    """Yield counts of a letter in reserved common words."""
    kept = [word for word in words[:8000] if 4 <= len(word) <= 12 and reserved.is_reserved_word(word)]
    for word in _some(random, kept, count):
        letter = random.choice(word) if random.random() < 0.85 else random.choice("abcdefghijklmnopqrstuvwxyz")
        wording = random.choice(
            (
                "How many {x} are in {w}?",
                "How many {x}'s are in {w}?",
                "How many times does {x} appear in {w}?",
                "Count the {x}'s in {w}.",
            )
        )
        expected = word.count(letter)
        yield _single(
            "letters", wording.format(x=letter, w=word), partial(checks.count_is, expected=expected), str(expected)
        )


def capitals(countries: list[corpus.Country]) -> Iterator[Question]:
    """Yield every capital in the plain, trained wording."""
    for country in countries:
        text = PLAIN_CAPITAL.format(country=country.name)
        yield _single("capitals", text, partial(checks.contains, expected=country.capital), country.capital)


def capitals_reworded(random: Random, countries: list[corpus.Country]) -> Iterator[Question]:
    """Yield capitals in ten wordings that training does not use, twenty countries each."""
    for wording in reserved.CAPITAL_WORDINGS:
        for country in _some(random, countries, 20):
            text = capitalized(wording.format(country=country.name))
            yield _single(
                "capitals, other wording", text, partial(checks.contains, expected=country.capital), country.capital
            )


def facts(random: Random, countries: list[corpus.Country], elements: list[corpus.Element]) -> Iterator[Question]:
    """Yield opposites, symbols and continents in wordings that training does not use."""
    for word, opposite in _some(random, list(table("words")["opposites"].items()), 40):
        text = reserved.OPPOSITE_WORDING.format(word=word)
        yield _single("facts", text, partial(checks.contains, expected=opposite), opposite)
    for element in _some(random, elements[:56], 30):
        text = reserved.SYMBOL_WORDING.format(element=element.name.lower())
        yield _single("facts", text, partial(checks.contains, expected=element.symbol, same_case=True), element.symbol)
    for country in _some(random, countries, 30):
        text = capitalized(reserved.CONTINENT_WORDING.format(country=country.name))
        yield _single("facts", text, partial(checks.contains, expected=country.continent), country.continent)


def definitions(random: Random) -> Iterator[Question]:
    """Yield a hundred common things in wordings that training does not use."""
    things = everyday_things()
    for topic in table("lists")["common things"]:
        bare = re.sub(r"^(?:an?|the) ", "", topic)
        text = random.choice(reserved.DEFINITION_WORDINGS).format(topic=topic, bare=bare)
        score = partial(checks.overlap, reference=things[topic], topic=bare)
        yield _single("definitions", text, score, things[topic])


def names(random: Random) -> Iterator[Question]:
    """Yield chats in which an unseen name is told, one other thing is asked, and the name is asked for."""
    between = (
        ("What is the capital of France?", "The capital of France is Paris."),
        ("How are you?", "I am fine, thank you! How are you?"),
        (
            "What is a cat?",
            everyday_things()["a cat"],
        ),
    )
    for name in reserved.HELD_OUT_NAMES:
        told = random.choice(("My name is {n}.", "I am {n}.", "Hello, my name is {n}.", "Hi, I'm {n}")).format(n=name)
        turns = [told, f"Nice to meet you, {name}!"]
        if random.random() < 0.7:
            turns += random.choice(between)
        asked = random.choice(
            ("What is my name?", "Do you remember my name?", "what is my name", reserved.NAME_QUESTION)
        )
        yield _talk("name memory", [*turns, asked], partial(checks.contains, expected=name), name)


def follow_ups(random: Random, countries: list[corpus.Country], count: int) -> Iterator[Question]:
    """Yield second questions that mean nothing without the first: other countries, other opposites."""
    pairs = list(table("words")["opposites"].items())
    for place in range(count):
        if place % 2:
            first, second = random.sample(countries, 2)
            turns = [
                f"What is the capital of {first.name}?",
                f"The capital of {first.name} is {first.capital}.",
                f"And the one of {second.name}?",
            ]
            expected = second.capital
        else:
            (word, opposite), (other, expected) = random.sample(pairs, 2)
            turns = [
                f"What is the opposite of {word}?",
                f"The opposite of {word} is {opposite}.",
                f"And the one of {other}?",
            ]
        yield _talk("follow-ups", turns, partial(checks.contains, expected=expected), expected)


def stories(random: Random, count: int) -> Iterator[Question]:
    """Yield requests for stories with a hero."""
    tales = table("tales")
    kinds = [*tales["land"], *tales["air"], *tales["people"]]
    for kind in _some(random, kinds, count):
        text = random.choice(reserved.STORY_WORDINGS).format(hero=with_article(kind))
        yield _single("stories", text, partial(checks.story_of, hero=kind), f"a story about {with_article(kind)}")


def system_messages(random: Random, countries: list[corpus.Country]) -> Iterator[Question]:
    """Yield instructions in the system message, with questions whose obedient answers are easy to recognise."""
    things = everyday_things()
    for country in _some(random, countries, 10):
        question = PLAIN_CAPITAL.format(country=country.name)
        yield _instructed(
            "Please answer in capital letters only.",
            question,
            partial(checks.shouts, expected=country.capital),
            country.capital.upper(),
        )
    for topic in _some(random, table("lists")["common things"], 10):
        yield _instructed(
            "Your answers have only one sentence.", f"What is {topic}?", checks.is_one_sentence, things[topic]
        )
    for name in reserved.HELD_OUT_NAMES[:10]:
        yield _instructed(f"Your name is {name}.", "What is your name?", partial(checks.contains, expected=name), name)


def _some(random: Random, items: Sequence[Item], count: int) -> list[Item]:
    """Draw that many different items, or all where there are fewer."""
    return random.sample(items, min(count, len(items)))


def _single(subject: str, text: str, score: Callable[[str], float], reference: str) -> Question:
    return Question(subject, ({"role": "user", "content": text},), score, reference)


def _talk(subject: str, turns: list[str], score: Callable[[str], float], reference: str) -> Question:
    roles = ("user", "assistant")
    messages = tuple({"role": roles[place % 2], "content": turn} for place, turn in enumerate(turns))
    return Question(subject, messages, score, reference)


def _instructed(system: str, text: str, score: Callable[[str], float], reference: str) -> Question:
    messages = ({"role": "system", "content": system}, {"role": "user", "content": text})
    return Question("system prompts", messages, score, reference)


def _is_unseen(question: Question) -> bool:
    """Whether the last message itself is held out; in name memory and under system messages the rest of the chat is."""
    return question.subject not in ("capitals", "name memory", "system prompts")
