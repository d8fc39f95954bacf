"""What people say about their day, answered with a friendly word that takes up what was said."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from nanochat.recipe.conversations.definitions import everyday_things
from nanochat.recipe.conversations.dialogue import Dialogue, Exchange, capitalized, deck, dialogue, table


def remarks(random: Random) -> Iterator[Dialogue]:
    """Yield remarks with replies that repeat their main word, and questions for the model's own opinion."""
    book = table("remarks")
    things = list(everyday_things().items())
    for said, replies in deck(random, book["remarks"]):
        exchanges = [_exchange(random, said, replies)]
        if random.random() < 0.2:
            exchanges.append(_exchange(random, *random.choice(book["remarks"])))
        yield dialogue(*exchanges)
        if random.random() < 0.3:
            topic, answer = random.choice(things)
            wording = random.choice(("What do you think about {t}?", "What do you think of {t}?"))
            yield dialogue((wording.format(t=topic), f"I am a program and have no opinion of my own. {answer}"))


def _exchange(random: Random, said: list[str], replies: list[str]) -> Exchange:
    book = table("remarks")
    slots = {name: random.choice(values) for name, values in book["slots"].items()}
    slots |= {"past": random.choice(book["past"]), "future": random.choice(book["future"])}
    slots |= {"Sport": capitalized(slots["sport"]), "Subject": capitalized(slots["subject"])}
    remark, reply = random.choice(said).format(**slots), random.choice(replies).format(**slots)
    return remark.replace(" a animal", " an animal").replace(" a owl", " an owl"), reply.replace(
        " a owl", " an owl"
    ).replace("A owl", "An owl")
