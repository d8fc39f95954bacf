"""What kind of thing something is, and which of two animals is bigger."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from nanochat.recipe.conversations.dialogue import Dialogue, Exchange, capitalized, deck, dialogue, table
from nanochat.recipe.conversations.words import with_article

ASKED_KINDS = ("animal", "fruit", "vegetable", "bird", "fish", "insect", "flower", "tree", "sport", "musical instrument", "metal", "vehicle")
WITHOUT_ARTICLE = frozenset("football tennis basketball swimming running golf gold silver iron copper tin".split())
BIRDS_AND_MORE = frozenset({"bird", "fish", "insect"})  # these are animals too
BY_SIZE = (
    "ant", "bee", "butterfly", "frog", "mouse", "rat", "squirrel", "cat", "fox", "dog", "sheep", "wolf", "lion", "horse", "cow",
    "hippopotamus", "elephant", "blue whale",
)  # fmt: skip


def kind_questions(random: Random) -> Iterator[Dialogue]:
    """Yield "Is a cat an animal?" with yes or no and the right kind, and comparisons of size."""
    kinds: dict[str, list[str]] = {kind: table("words")["kinds"][kind] for kind in ASKED_KINDS}
    members = [(member, kind) for kind, names in kinds.items() for member in names]
    for member, kind in deck(random, members):
        yield dialogue(_comparison(random) if random.random() < 0.15 else _question(random, member, kind))


def _question(random: Random, member: str, kind: str) -> Exchange:
    thing = member if member in WITHOUT_ARTICLE else with_article(member)
    right = f"{thing} is {with_article(kind)}"
    if random.random() < 0.25:
        wording = random.choice(("What kind of thing is {t}?", "What sort of thing is {t}?"))
        return wording.format(t=thing), f"{capitalized(right)}."
    asked = kind
    if random.random() < 0.5:
        asked = random.choice([other for other in ASKED_KINDS if other != kind and not (other == "animal" and kind in BIRDS_AND_MORE)])
    if asked == kind:
        return f"Is {thing} {with_article(kind)}?", f"Yes, {right}."
    if kind == "animal" and asked in BIRDS_AND_MORE:
        return f"Is {thing} {with_article(asked)}?", f"No, {thing} is not {with_article(asked)}."
    return f"Is {thing} {with_article(asked)}?", f"No, {right}."




def _comparison(random: Random) -> Exchange:
    smaller, bigger = sorted(random.sample(range(len(BY_SIZE)), 2))
    small, big = with_article(BY_SIZE[smaller]), with_article(BY_SIZE[bigger])
    one, other = random.sample((small, big), 2)
    if random.random() < 0.6:
        wording = random.choice(("Which is bigger, {a} or {b}?", "What is bigger, {a} or {b}?", "Who is bigger, {a} or {b}?"))
        return wording.format(a=one, b=other), f"{capitalized(big)} is bigger than {small}."
    wording = random.choice(("Which is smaller, {a} or {b}?", "What is smaller, {a} or {b}?"))
    return wording.format(a=one, b=other), f"{capitalized(small)} is smaller than {big}."
