"""What kind of thing something is, and which of two animals is bigger."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from nanochat.recipe.conversations.dialogue import Dialogue, Exchange, capitalized, deck, dialogue, table, with_article

WITHOUT_ARTICLE = frozenset(
    ["football", "tennis", "basketball", "swimming", "running", "golf", "gold", "silver", "iron", "copper", "tin"]
)
BIRDS_AND_MORE = frozenset({"bird", "fish", "insect"})  # these are animals too


def kind_questions(random: Random) -> Iterator[Dialogue]:
    """Yield "Is a cat an animal?" with yes or no and the right kind, and comparisons of size."""
    kinds: dict[str, list[str]] = {kind: table("words")["kinds"][kind] for kind in table("lists")["asked kinds"]}
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
        asked = random.choice(
            [
                other
                for other in table("lists")["asked kinds"]
                if other != kind and not (other == "animal" and kind in BIRDS_AND_MORE)
            ]
        )
    if asked == kind:
        return f"Is {thing} {with_article(kind)}?", f"Yes, {right}."
    if kind == "animal" and asked in BIRDS_AND_MORE:
        return f"Is {thing} {with_article(asked)}?", f"No, {thing} is not {with_article(asked)}."
    return f"Is {thing} {with_article(asked)}?", f"No, {right}."


def _comparison(random: Random) -> Exchange:
    smaller, bigger = sorted(random.sample(range(len(table("lists")["animals by size"])), 2))
    small, big = (
        with_article(table("lists")["animals by size"][smaller]),
        with_article(table("lists")["animals by size"][bigger]),
    )
    one, other = random.sample((small, big), 2)
    if random.random() < 0.6:
        wording = random.choice(
            ("Which is bigger, {a} or {b}?", "What is bigger, {a} or {b}?", "Who is bigger, {a} or {b}?")
        )
        return wording.format(a=one, b=other), f"{capitalized(big)} is bigger than {small}."
    wording = random.choice(("Which is smaller, {a} or {b}?", "What is smaller, {a} or {b}?"))
    return wording.format(a=one, b=other), f"{capitalized(small)} is smaller than {big}."
