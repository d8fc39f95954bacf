"""What things are: hand-written sentences on everyday things first, then the vital topics of Simple Wikipedia.

Newcomers ask about cats and bread, not about fugues. So each everyday thing comes in dozens of wordings with one short,
true answer, and the encyclopedia's topics, whose answers are cut to two sentences without asides, fill up the rest.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from random import Random

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
from nanochat.recipe.corpus import Country, QuestionAnswer, asked_topic, is_plain_english, without_brackets

PERSON_PATTERN = re.compile(r"^(?:who|tell me who|can you tell me who|explain who)\b", re.IGNORECASE)
LONGEST_ANSWER = 260


@cache
def everyday_things() -> dict[str, str]:
    """Return the hand-written definitions, from the topic as it is asked ("a cat", "the sun", "bread")."""
    things: dict[str, str] = {}
    for name in ("definitions_living", "definitions_world", "definitions_people"):
        for group in table(name).values():
            things.update(group)
    return things


def everyday_definitions(random: Random) -> Iterator[Dialogue]:
    """Yield definitions of everyday things, each equally often."""
    things = list(everyday_things().items())
    for topic, answer in deck(random, things):
        question = definition_question(random, topic)
        exchanges: list[Exchange] = [(question, first_sentence(answer) if "one sentence" in question else answer)]
        if random.random() < 0.08:
            other, its_answer = random.choice(things)
            question = random.choice(("And {topic}?", "What about {topic}?", "And what is {topic}?")).format(
                topic=other
            )
            exchanges.append((question, its_answer))
        yield dialogue(*exchanges)


def definition_question(random: Random, topic: str) -> str:
    """Ask for a topic in one of many wordings that fit it."""
    bare = _bare(topic)
    wording = random.choice(wordings("definition"))
    countable = topic.startswith(("a ", "an "))
    if "What are {many}" in wording and not countable:
        wording = wordings("definition")[0]
    if topic.startswith("the ") and ("{bare} " in wording or wording == "What is {bare}?"):
        wording = wordings("definition")[0]
    return wording.format(topic=topic, bare=bare, Bare=capitalized(bare), many=plural(bare) if countable else topic)


def plural(noun: str) -> str:
    """Return the plural of a noun as the recipe's tables need it."""
    head, _, last = noun.rpartition(" ")
    if last in table("lists")["irregular plurals"]:
        made = table("lists")["irregular plurals"][last]
    elif last.endswith(("s", "x", "ch", "sh")):
        made = last + "es"
    elif last.endswith("y") and last[-2:-1] not in "aeiou":
        made = last[:-1] + "ies"
    else:
        made = last + "s"
    return f"{head} {made}".strip()


def people(random: Random) -> Iterator[Dialogue]:
    """Yield who famous people are, each equally often."""
    for name, answer in deck(random, list(table("people").items())):
        be = (
            "were"
            if name in ("the Beatles", "the Wright brothers")
            else "is"
            if " is " in first_sentence(answer)[: len(name) + 6]
            else "was"
        )
        yield dialogue((capitalized(random.choice(wordings("person")).format(name=name, be=be)), answer))


def encyclopedia(random: Random, pairs: list[QuestionAnswer], countries: list[Country]) -> Iterator[Dialogue]:
    """Yield the encyclopedia's topics in our own wordings, with answers cut to two plain sentences.

    Countries are left to `geography`, so that each question has one answer.
    """
    named = {re.sub(r"^the ", "", country.name) for country in countries}
    topics = [
        (question, answer)
        for question, answer in encyclopedia_topics(pairs)
        if _bare(asked_topic(question) or "") not in named
    ]
    for question, answer in deck(random, topics):
        topic = asked_topic(question) or ""
        if PERSON_PATTERN.match(question):
            be = "was" if re.search(r"\bwas\b", answer[:200]) else "is"
            yield dialogue((random.choice(wordings("person")[:7]).format(name=topic, be=be), answer))
        else:
            plural_topic = re.match(r"(?:what|who) (?:are|were) ", question, re.IGNORECASE)
            wording = (
                random.choice(("What are {topic}?", "Tell me about {topic}."))
                if plural_topic
                else random.choice(wordings("topic"))
            )
            yield dialogue((wording.format(topic=topic), answer))


def encyclopedia_topics(pairs: list[QuestionAnswer]) -> list[tuple[str, str]]:
    """Choose questions whose topic is not written by hand and whose answer can be cut to plain sentences."""
    known = {_bare(topic).lower() for topic in (*everyday_things(), *table("people"))}
    chosen = []
    for pair in pairs:
        topic = asked_topic(pair.question)
        answer = shortened(pair.answer)
        if topic and answer and len(topic) < 50 and _bare(topic).lower() not in known:
            chosen.append((pair.question, answer))
    return chosen


def shortened(answer: str) -> str | None:
    """Cut an encyclopedia's answer to at most two sentences without asides, or give it up (None)."""
    text = without_brackets(answer).replace('""', "").replace(" ;", ";").replace("..", ".")
    first = first_sentence(text)
    rest = text[len(first) :].strip()
    second = first_sentence(rest) if rest else ""
    if len(second) < 100 and second.endswith(".") and len(first) + len(second) < LONGEST_ANSWER:
        first = f"{first} {second}"
    if not 25 < len(first) < LONGEST_ANSWER or not first.endswith(".") or not is_plain_english(first) or "(" in first:
        return None
    return first


def _bare(topic: str) -> str:
    return re.sub(r"^(?:an?|the) ", "", topic)
