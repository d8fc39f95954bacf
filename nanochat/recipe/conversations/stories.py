"""Stories of the corpus with a request made from their hero, and the same stories with another hero in the part.

A story is taken when its hero is introduced in the first sentence, comes back often and is still there at the end. To
teach that the asked hero must appear, names are swapped for others, and animals for others where nothing in the text
is true of the one animal only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from nanochat.recipe.conversations.dialogue import Dialogue, deck, dialogue, table, with_article, wordings

SHORTEST_WORDS, LONGEST_WORDS = 60, 220
_NAMED = re.compile(r"\b(an?) ((?:[a-z-]+,? ){0,3}?)([a-z]+) (?:named|called|whose name was) ([A-Z][a-z]+)\b")
_UNNAMED = re.compile(r"there (?:was|lived) (an?) ((?:[a-z-]+,? ){0,3}?)([a-z]+)(?= who| that|\.|,| in | with )")
_DARK = re.compile(
    r"\b(?:kill|die|died|dead|death|gun|shoot|shot|missile|bomb|blood|murder|drown|stupid|dumb|idiot|hate|"
    r"never came back|never seen again|poison|stab|hanged|slap|whip|drunk|beer|wine|naked)\w*",
    re.IGNORECASE,
)
_ONLY_TRUE_OF_ONE = re.compile(
    r"\b(?:bark|woof|meow|purr|moo|oink|neigh|baa|roar|growl|howl|trunk|shell|wool|mane|tail|paw|fur|banana|bone|cheese|swing|"
    r"swung|carrot|hop|kitt|pupp|cub|lamb|calf|piglet|ride|rode|milk|nut|honey|ears|swim|swam)\w*",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Story:
    """A story with its hero."""

    text: str
    kind: str
    name: str | None


def corpus_stories(random: Random, stories: list[Story]) -> Iterator[Dialogue]:
    """Yield requests with corpus stories, a good part of them with another hero in the same part."""
    for story in deck(random, stories):
        told = recast(random, story) if random.random() < 0.5 else story
        if random.random() < 0.08:
            request = random.choice(wordings("story"))
        else:
            request = random.choice(wordings("story about")).format(hero=_asked_hero(random, told))
        yield dialogue((request, told.text))


def find_stories(texts: Iterator[str]) -> list[Story]:
    """Choose the texts that hold one hero from the first sentences to the end."""
    return [story for text in texts if (story := find_story(text))]


def find_story(text: str) -> Story | None:
    """Recognise the hero of a story; None where there is none, it gets lost, or the length is wrong."""
    words = text.split()
    if not SHORTEST_WORDS <= len(words) <= LONGEST_WORDS or text[-1] not in '.!"' or not text.isascii():
        return None
    if _DARK.search(text) or not text.startswith(("Once", "One day", "There", "Long ago")):
        return None
    opening, ending = text[:220], text[len(text) * 2 // 3 :]
    named = _NAMED.search(opening)
    if named:
        name = named[4]
        held = len(re.findall(rf"\b{name}\b", text)) >= 4 and name in ending
        return Story(text, named[3], name) if held else None
    unnamed = _UNNAMED.search(opening)
    if unnamed and len(re.findall(rf"\b{unnamed[3]}\b", text)) >= 4 and unnamed[3] in ending:
        return Story(text, unnamed[3], None)
    return None


def recast(random: Random, story: Story) -> Story:
    """Give the part to another name, and to another animal where the text allows it."""
    text, kind, name = story.text, story.kind, story.name
    if name in table("lists")["male heroes"] or name in table("lists")["female heroes"]:
        others = table("tales")["names"]["he" if name in table("lists")["male heroes"] else "she"]
        other = random.choice([candidate for candidate in others if candidate not in text])
        text, name = re.sub(rf"\b{name}\b", other, text), other
    if kind in table("lists")["swappable animals"] and not _ONLY_TRUE_OF_ONE.search(text):
        other = random.choice([animal for animal in table("lists")["swappable animals"] if animal not in text])
        text = re.sub(rf"\b{kind}\b", other, text)
        text = re.sub(rf"\b{kind.capitalize()}\b", other.capitalize(), text)
        text = re.sub(r"\b([Aa])n?(?= (?:elephant|\w+ ?elephant))", r"\1", text)
        text, kind = re.sub(r"\b([Aa]) (?=elephant)", r"\1n ", text), other
    return Story(text, kind, name)


def _asked_hero(random: Random, story: Story) -> str:
    kind = with_article(story.kind)
    if story.name is None:
        return kind
    return random.choice(
        (
            f"{kind} named {story.name}",
            f"{kind} named {story.name}",
            f"{kind} called {story.name}",
            story.name,
            kind,
            kind,
        )
    )
