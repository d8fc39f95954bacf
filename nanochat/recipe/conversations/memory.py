"""Remembering what was said: names, ages, colours, pets and places, asked for after other talk in between."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import TypedDict

from nanochat.recipe.conversations.arithmetic import calculated
from nanochat.recipe.conversations.copying import invented_word
from nanochat.recipe.conversations.definitions import definition_question, everyday_things
from nanochat.recipe.conversations.dialogue import Dialogue, Exchange, capitalized, deck, dialogue, table, wordings
from nanochat.recipe.conversations.geography import PLAIN_CAPITAL, asked, capital_sentence
from nanochat.recipe.conversations.reserved import is_reserved_sum
from nanochat.recipe.corpus import Country

INVENTED_SHARE = 0.3
UNKNOWN_NAME = "You have not told me your name yet. What is your name?"


class Memory(TypedDict):
    """One kind of thing that users tell about themselves."""

    slots: dict[str, str]
    told: list[str]
    reply: str
    ask: list[str]
    answer: str


def name_memory(random: Random, countries: list[Country], words: list[str]) -> Iterator[Dialogue]:
    """Yield chats in which the user's name is told, other things are talked of, and the name is asked for."""
    for known in deck(random, table("lists")["names"]):
        name = any_name(random, known, words)
        if random.random() < 0.06:
            yield dialogue(
                (random.choice(wordings("my name")), UNKNOWN_NAME),
                *_introduction(random, name),
                _name_answer(random, name),
            )
            continue
        exchanges = _introduction(random, name)
        exchanges += [distraction(random, countries) for _ in range(random.choice((0, 0, 1, 1, 1, 2, 2, 3)))]
        exchanges.append(_name_answer(random, name))
        if random.random() < 0.1:
            other = random.choice([other for other in table("lists")["names"] if other != name])
            exchanges += [
                (f"No, my name is {other}.", f"Oh, sorry! Then your name is {other}."),
                _name_answer(random, other),
            ]
        yield dialogue(*exchanges)


def any_name(random: Random, known: str, words: list[str]) -> str:
    """Return the known name, or an invented one: people have names that training has never seen."""
    return invented_word(random, words).capitalize() if random.random() < INVENTED_SHARE else known


def fact_memory(random: Random, countries: list[Country]) -> Iterator[Dialogue]:
    """Yield chats in which one or two things about the user are told and asked for later."""
    memories: list[Memory] = table("memories")
    for memory in deck(random, memories):
        chosen = [memory]
        if random.random() < 0.3:
            chosen.append(random.choice([other for other in memories if other is not memory]))
        told, later = zip(*(_fact(random, one) for one in chosen), strict=True)
        between = [distraction(random, countries) for _ in range(random.choice((0, 0, 1, 1, 2)))]
        yield dialogue(*told, *between, *random.sample(later, len(later)))


def distraction(random: Random, countries: list[Country]) -> Exchange:
    """Make one exchange about something else."""
    match random.randrange(5):
        case 0:
            while True:
                left, right = random.randint(1, 99), random.randint(1, 99)
                if not is_reserved_sum(left, right):
                    break
            sign = random.choice("+-*")
            return f"What is {left} {sign} {right}?", calculated(f"{left}{sign}{right}")
        case 1:
            country = random.choice(countries)
            return asked(random, PLAIN_CAPITAL, country.name), capital_sentence(country)
        case 2:
            topic, answer = random.choice(list(everyday_things().items()))
            return definition_question(random, topic), answer
        case 3:
            return random.choice(("Tell me a joke.", "Do you know a joke?")), random.choice(table("fun")["jokes"])
    reaction = random.choice(table("smalltalk"))
    return random.choice(reaction["ask"]), random.choice(reaction["answer"])


def _introduction(random: Random, name: str) -> list[Exchange]:
    told = random.choice(wordings("introduction")).format(name=name)
    if random.random() < 0.08:
        told = told.lower()
    return [(told, random.choice(wordings("welcome")).format(name=name))]


def _name_answer(random: Random, name: str) -> Exchange:
    return random.choice(wordings("my name")), f"Your name is {name}."


def _fact(random: Random, memory: Memory) -> tuple[Exchange, Exchange]:
    """Tell something about the user, and ask for it."""
    slots = {slot: random.choice(table("lists")[values]) for slot, values in memory["slots"].items()}
    slots |= {capitalized(slot): capitalized(value) for slot, value in slots.items()}
    told = random.choice(memory["told"]).format(**slots), memory["reply"].format(**slots)
    asked_later = random.choice(memory["ask"]).format(**slots), memory["answer"].format(**slots)
    return told, asked_later
