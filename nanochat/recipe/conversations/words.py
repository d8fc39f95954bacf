"""Words and what children learn about them: opposites, sounds and young of animals, colours, plurals, rhymes."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import TypedDict

from nanochat.recipe.conversations.dialogue import (
    Dialogue,
    Exchange,
    capitalized,
    deck,
    dialogue,
    listed,
    table,
    with_article,
    wordings,
)


class Filling(TypedDict):
    """A table of pairs, how one half is asked for, and the sentence that tells it."""

    table: str
    ask: list[str]
    answer: str


def opposites(random: Random) -> Iterator[Dialogue]:
    """Yield opposites, each word equally often, some in a row."""
    pairs = list(table("words")["opposites"].items())
    for word, opposite in deck(random, pairs):
        question = random.choice(wordings("opposite")).format(word=word)
        exchanges: list[Exchange] = [(question, opposite_sentence(word, opposite))]
        while random.random() < 0.2:
            other, its_opposite = random.choice(pairs)
            question = random.choice(wordings("next opposite")).format(word=other)
            exchanges.append((question, opposite_sentence(other, its_opposite)))
        yield dialogue(*exchanges)


def opposite_sentence(word: str, opposite: str) -> str:
    """Say an opposite in the one form that the model learns."""
    return f"The opposite of {word} is {opposite}."


def animal_facts(random: Random) -> Iterator[Dialogue]:
    """Yield what animals say, how their young are called, where they live and how many legs they have."""
    fillings: list[Filling] = table("fillings")["animals"]
    for filling in deck(random, [*fillings, *fillings[:4]]):
        yield dialogue(_filled(random, filling))


def colour_facts(random: Random) -> Iterator[Dialogue]:
    """Yield colours of things, and of mixed paint a quarter of the time."""
    things, mixes = table("fillings")["colours"]
    for filling in deck(random, [things, things, things, mixes]):
        yield dialogue(_filled(random, filling))


def word_forms(random: Random) -> Iterator[Dialogue]:
    """Yield plurals, past tenses, synonyms, rhymes, and examples of a kind of thing."""
    fillings: list[Filling | None] = [*table("fillings")["forms"], None, None, None]
    for filling in deck(random, fillings):
        if filling:
            yield dialogue(_filled(random, filling))
        else:
            yield dialogue(_rhyme(random) if random.random() < 0.3 else _examples(random))


def _filled(random: Random, filling: Filling) -> Exchange:
    key, value = random.choice(list(table("words")[filling["table"]].items()))
    slots = {"key": key, "Key": capitalized(key), "value": value}
    slots |= {"a": with_article(key), "A": capitalized(with_article(key))}
    return random.choice(filling["ask"]).format(**slots), filling["answer"].format(**slots)


def _rhyme(random: Random) -> Exchange:
    word, others = random.choice(list(table("words")["rhymes"].items()))
    return random.choice(wordings("rhyme")).format(w=word), f"{capitalized(listed(others))} rhyme with {word}."


def _examples(random: Random) -> Exchange:
    kind, members = random.choice(list(table("words")["kinds"].items()))
    if random.random() < 0.4:
        question = random.choice(wordings("kinds one")).format(a=with_article(kind))
        return question, f"{capitalized(random.choice(members))} is {with_article(kind)}."
    some = random.sample(members, min(3, len(members)))
    few, number = ("two", 2) if len(some) == 2 else ("three", 3)
    irregular = {"fish": "fish", "piece of furniture": "pieces of furniture", "country": "countries", "gas": "gases"}
    name = "kinds some" if len(some) == 3 and random.random() < 0.3 else "kinds three"
    wording = random.choice(wordings(name))
    return wording.format(few=few, n=number, kinds=irregular.get(kind, f"{kind}s")), f"{capitalized(listed(some))}."
