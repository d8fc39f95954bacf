"""Stories the recipe tells by itself: a hero, a place, a plot of eight steps, a helper and an ending.

Each step has two or three wordings and the hero is named in nearly every one, so that any hero can be asked for and
stays in the story to its end. Plots fit animals, people and things alike: nobody uses hands, everybody "goes".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

from nanochat.recipe.conversations.dialogue import (
    Dialogue,
    Exchange,
    capitalized,
    deck,
    dialogue,
    table,
    with_article,
    wordings,
)

REFLEXIVE = {"she": "herself", "he": "himself", "it": "itself"}
POSSESSIVE = {"she": "her", "he": "his", "it": "its"}
OBJECT = {"she": "her", "he": "him", "it": "it"}


@dataclass(frozen=True, slots=True)
class Hero:
    """Who a story is about."""

    kind: str
    name: str
    pronoun: str
    home: str


def heroes() -> list[tuple[str, str]]:
    """Return every kind of hero with where it is at home (land, air, water, people, objects)."""
    tales = table("tales")
    return [(kind, home) for home in ("land", "air", "water", "people", "objects") for kind in tales[home]]


def tales(random: Random) -> Iterator[Dialogue]:
    """Yield requests for a story with the story, every kind of hero equally often, sometimes with a second story."""
    book = table("tales")
    kinds = heroes()
    common = [(kind, home) for kind, home in kinds if home in ("land", "people")]
    for kind, home in deck(random, [*kinds, *common]):
        exchanges = [_told(random, book, kind, home)]
        if random.random() < 0.1:
            other_kind, other_home = random.choice(kinds)
            if random.random() < 0.5:
                exchanges.append(
                    (random.choice(wordings("another story")), _told(random, book, other_kind, other_home)[1])
                )
            else:
                question = random.choice(
                    ("And one about {hero}?", "Now one about {hero}.", "And a story about {hero}?")
                )
                exchanges.append(
                    (question.format(hero=with_article(other_kind)), _told(random, book, other_kind, other_home)[1])
                )
        yield dialogue(*exchanges)


def tale(random: Random, book: dict[str, Any], hero: Hero, helper: str, plot: dict[str, Any]) -> str:
    """Tell one story of about 110 to 170 words."""
    slots = {
        "kind": hero.kind,
        "name": hero.name,
        "he": hero.pronoun,
        "his": POSSESSIVE[hero.pronoun],
        "him": OBJECT[hero.pronoun],
        "himself": REFLEXIVE[hero.pronoun],
        "place": random.choice(book["places"][hero.home]),
        "trait": random.choice(book["traits"]),
        "helper": helper,
        "treasure": random.choice(book["treasures"]),
        "food": random.choice(book["foods"]),
    }
    slots |= {"He": capitalized(slots["he"]), "His": capitalized(slots["his"])}
    slots["a_helper"] = with_article(f"{random.choice(book['helper_traits'])} {helper}")
    slots["A_helper"] = capitalized(slots["a_helper"])
    lines = [random.choice(book["openings"])]
    lines += [random.choice(step) for step in plot["steps"]]
    lines.append(random.choice(book["endings"]))
    halves = len(lines) // 2
    told = []
    for place, line in enumerate(lines):
        subject = hero.name if random.random() < 0.7 else f"the {hero.kind}"
        if place in (halves, len(lines) - 1):
            # Always here: a small model that tells the likeliest story must not forget what its hero is.
            subject = f"{hero.name} the {hero.kind}"
        told.append(_filled(line, {**slots, "H": subject}))
    return " ".join(told[:halves]) + "\n\n" + " ".join(told[halves:])


def new_hero(random: Random, book: dict[str, Any], kind: str, home: str) -> Hero:
    """Give a kind of hero a name and a pronoun."""
    pronoun = book["people"][kind] if home == "people" else "it" if home == "objects" else random.choice(("he", "she"))
    return Hero(kind, random.choice(book["names"][pronoun]), pronoun, home)


def _told(random: Random, book: dict[str, Any], kind: str, home: str) -> Exchange:
    hero = new_hero(random, book, kind, home)
    helpers = [helper for helper in book["helpers"]["water" if home == "water" else "land"] if helper != kind]
    helper = random.choice(helpers)
    plot = random.choice(book["plots"])
    choice = random.random()
    if choice < 0.12:
        request = random.choice(wordings("story"))
    else:
        asked = with_article(kind)
        if choice < 0.3:
            asked = random.choice(
                (
                    f"{with_article(kind)} named {hero.name}",
                    f"{hero.name} the {kind}",
                    f"{with_article(kind)} called {hero.name}",
                )
            )
        elif choice < 0.42:
            asked = f"{with_article(kind)} and {with_article(helper)}"
        elif choice < 0.48:
            asked = with_article(f"{random.choice(book['traits'])} {kind}")
        elif choice < 0.54:
            asked = hero.name
        elif choice < 0.6:
            asked = random.choice(plot["about"])
        request = random.choice(wordings("story about")).format(hero=asked)
    return request, tale(random, book, hero, helper, plot)


def _filled(line: str, slots: dict[str, str]) -> str:
    """Fill a line, and begin its sentences with a capital letter where a name was replaced by "the fox"."""
    line = line.replace("a {trait}", with_article(slots["trait"])).replace("a {kind}", with_article(slots["kind"]))
    text = line.format(**slots)
    for mark in (". ", "? ", "! ", '" ', ': "'):
        text = text.replace(f"{mark}the {slots['kind']}", f"{mark}The {slots['kind']}") if mark != '" ' else text
    return capitalized(text)
