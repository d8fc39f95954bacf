"""Greetings and feelings, who the model is, what it cannot know, jokes, riddles and poems."""

from __future__ import annotations

import re
from collections.abc import Iterator
from random import Random
from typing import TypedDict

from nanochat.recipe.conversations.definitions import everyday_things
from nanochat.recipe.conversations.dialogue import Dialogue, Exchange, deck, dialogue, table, wordings

# What nearly everyone asks first: dealt more often, and half of the time in exactly these words.
VITAL = frozenset(
    {"Who are you?", "What is your name?", "What can you do?", "How do you work?", "Hello", "How are you?"}
)
NONSENSE_ANSWER = "I did not understand that. Please ask me in simple English."


class Reaction(TypedDict):
    """Things people say that call for the same answers."""

    ask: list[str]
    answer: list[str]


def smalltalk(random: Random) -> Iterator[Dialogue]:
    """Yield greetings, thanks, feelings and other everyday remarks."""
    yield from _reactions(random, "smalltalk")


def identity(random: Random) -> Iterator[Dialogue]:
    """Yield questions about the model itself."""
    yield from _reactions(random, "identity")


def refusals(random: Random) -> Iterator[Dialogue]:
    """Yield what the model cannot know or do, and input that means nothing."""
    for exchange in _exchanges(random, "refusals"):
        yield dialogue((_nonsense(random), NONSENSE_ANSWER) if random.random() < 0.12 else exchange)


def fun(random: Random) -> Iterator[Dialogue]:
    """Yield jokes, riddles with their solution, and short poems, often followed by a wish for more."""
    tables = table("fun")
    jokes, riddles, poems = (deck(random, tables[name]) for name in ("jokes", "riddles", "poems"))
    while True:
        match random.randrange(4):
            case 0 | 1:
                exchanges: list[Exchange] = [(random.choice(wordings("joke")), next(jokes))]
                while random.random() < 0.3:
                    exchanges.append((random.choice(wordings("another joke")), next(jokes)))
                yield dialogue(*exchanges)
            case 2:
                yield _riddle(random, *next(riddles))
            case _:
                about, poem = next(poems) if random.random() < 0.6 else _any_poem(random)
                wording = random.choice(wordings("poem about" if random.random() < 0.8 else "poem"))
                yield dialogue((wording.format(about=about), poem))


def small_talk_chains(random: Random) -> Iterator[Dialogue]:
    """Yield little chats: a greeting, an answer to "How are you?", a remark, thanks and goodbye."""
    reactions: list[Reaction] = table("smalltalk")
    by_start = {reaction["ask"][0]: reaction for reaction in reactions}
    hello, well, fine, thanks, bye = (
        by_start[key] for key in ("Hello", "How are you?", "I'm fine.", "Thank you", "Bye")
    )
    openings = list(table("identity"))
    while True:
        chain: list[Reaction] = [hello]
        if random.random() < 0.7:
            chain += [well, fine] if random.random() < 0.5 else [well]
        chain += random.sample([*reactions, *openings], random.randint(1, 2))
        if random.random() < 0.6:
            chain.append(thanks)
        if random.random() < 0.6:
            chain.append(bye)
        yield dialogue(*((random.choice(reaction["ask"]), random.choice(reaction["answer"])) for reaction in chain))


def _any_poem(random: Random) -> tuple[str, str]:
    """Write four lines that fit any topic."""
    topic = random.choice(list(everyday_things()))
    bare = re.sub(r"^(?:an?|the) ", "", topic)
    return topic, random.choice(table("fun")["any poems"]).format(topic=topic, bare=bare)


def _riddle(random: Random, riddle: str, solution: str) -> Dialogue:
    """Tell a riddle; the user gives up, or in a third of the cases finds the solution."""
    found = random.random() < 0.3
    guess = solution if found else random.choice(wordings("give up"))
    answer = f"The answer is {solution}."
    return dialogue(
        (random.choice(wordings("riddle")), riddle), (guess, f"That is right! {answer}" if found else answer)
    )


def _nonsense(random: Random) -> str:
    if random.random() < 0.5:
        return str(random.choice(table("lists")["nonsense"]))
    return " ".join(
        "".join(random.choices("bcdfghjklmnpqrstvwxz", k=random.randint(3, 8))) for _ in range(random.randint(1, 3))
    )


def _exchanges(random: Random, name: str) -> Iterator[Exchange]:
    reactions: list[Reaction] = table(name)
    # A reaction is dealt as often as it has wordings, up to ten: common remarks have many.
    weighted = [reaction for reaction in reactions for _ in range(min(10, len(reaction["ask"])))]
    vital = [reaction for reaction in reactions if reaction["ask"][0] in VITAL]
    for reaction in deck(random, weighted + 25 * vital):
        plain = random.random() < 0.3 or (reaction["ask"][0] in VITAL and random.random() < 0.3)
        yield reaction["ask"][0] if plain else random.choice(reaction["ask"]), random.choice(reaction["answer"])


def _reactions(random: Random, name: str) -> Iterator[Dialogue]:
    for exchange in _exchanges(random, name):
        yield dialogue(exchange)
