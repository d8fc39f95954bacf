"""Questions that lean on the last answer: "Tell me more.", "Why?", "And the sea?", and thanks or goodbye after it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from random import Random

from nanochat.recipe.conversations.definitions import definition_question, everyday_things, shortened
from nanochat.recipe.conversations.dialogue import (
    Dialogue,
    Exchange,
    capitalized,
    deck,
    dialogue,
    first_sentence,
    table,
    wordings,
)

NO_MORE = "That is all I know about it. I am a small model."
NO_WHY = "I do not know why. I am a small model and know only a little."


def tell_me_more(random: Random, articles: Mapping[str, str]) -> Iterator[Dialogue]:
    """Yield a definition, then more on the same thing from its article, and sometimes thanks."""
    things = everyday_things()
    further = {topic: more for topic in things if (more := _further(topic, things[topic], articles))}
    for topic, answer in deck(random, list(things.items())):
        short = first_sentence(answer)
        rest = answer[len(short) :].strip()
        exchanges: list[Exchange] = [(definition_question(random, topic), answer)]
        if rest and random.random() < 0.4:
            exchanges = [(definition_question(random, topic), short), (random.choice(wordings("more")), rest)]
        elif topic in further:
            exchanges.append((random.choice(wordings("more")), further[topic]))
        elif random.random() < 0.2:
            exchanges.append((random.choice(wordings("more")), NO_MORE))
        else:
            continue
        yield dialogue(*exchanges, *_ending(random))


def why_questions(random: Random) -> Iterator[Dialogue]:
    """Yield a fact with "Why?" after it: the reason where the recipe knows one, the plain admission where not."""
    reasons = list(table("whys").items())
    things = list(everyday_things().items())
    for question, reason in deck(random, reasons):
        if random.random() < 0.2:
            topic, answer = random.choice(things)
            yield dialogue((definition_question(random, topic), answer), (random.choice(wordings("why")), NO_WHY))
            continue
        claim = _claim(question)
        if claim:
            opening = random.choice(("Is it true that {c}?", "I heard that {c}."))
            yield dialogue(
                (opening.format(c=claim), f"Yes, {claim}."), (random.choice(wordings("why")), reason), *_ending(random)
            )
        else:
            yield dialogue((question, reason), *_ending(random))


def next_things(random: Random) -> Iterator[Dialogue]:
    """Yield rows of definitions in which only the first is asked in full ("What is a cat?" "And a dog?")."""
    things = list(everyday_things().items())
    for topic, answer in deck(random, things):
        exchanges: list[Exchange] = [(definition_question(random, topic), answer)]
        for other, its_answer in random.sample(things, random.randint(1, 3)):
            wording = random.choice(
                ("And {t}?", "What about {t}?", "and {t}?", "And what is {t}?", "How about {t}?", "{t}?", "Now {t}.")
            )
            exchanges.append(
                (capitalized(wording.format(t=other)) if wording == "{t}?" else wording.format(t=other), its_answer)
            )
        yield dialogue(*exchanges, *_ending(random))


def repeated(random: Random) -> Iterator[Dialogue]:
    """Yield answers that are asked for again and given again word for word."""
    for topic, answer in deck(random, list(everyday_things().items())):
        yield dialogue((definition_question(random, topic), answer), (random.choice(wordings("repeat")), answer))


def _ending(random: Random) -> list[Exchange]:
    return (
        [(random.choice(wordings("thanks")), random.choice(wordings("you are welcome")))]
        if random.random() < 0.2
        else []
    )


def _further(topic: str, known: str, articles: Mapping[str, str]) -> str | None:
    """Find two more sentences on a topic in its article, after the one that only defines it."""
    article = articles.get(re.sub(r"^(?:an?|the) ", "", topic).lower())
    if article is None:
        return None
    paragraph = article.split("\n")[0]
    rest = paragraph[len(first_sentence(paragraph)) :].strip()
    more = shortened(rest)
    return more if more and more[:30] not in known else None


def _claim(question: str) -> str | None:
    """Turn "Why is the sky blue?" into "the sky is blue"."""
    match = re.fullmatch(r"Why (is|are) ((?:the |a )?\w+) ([a-z]+)\?", question)
    if match:
        return f"{match[2]} {match[1]} {match[3]}"
    match = re.fullmatch(r"Why do ([a-z]+ .+)\?", question)
    return match[1] if match else None
