"""Days, months and seasons in their order, and counting."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from nanochat.recipe.conversations.dialogue import Dialogue, Exchange, dialogue, listed, table, wordings

MONTH_DAYS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def calendar_facts(random: Random) -> Iterator[Dialogue]:
    """Yield the order of days and months, their number, and the lengths of months."""
    while True:
        yield dialogue(_day(random) if random.random() < 0.45 else _month(random))


def counting(random: Random) -> Iterator[Dialogue]:
    """Yield counting to a number, letters of the alphabet in order, and which of two numbers is larger."""
    while True:
        yield dialogue(_counted(random))


def _counted(random: Random) -> Exchange:
    match random.randrange(5):
        case 0:
            last = random.choice((3, 5, 10, 10, 10, 12, 15, 20))
            numbers = ", ".join(str(number) for number in range(1, last + 1))
            return random.choice(wordings("count to")).format(n=last), f"{numbers}."
        case 1:
            left, right = random.sample(range(1, random.choice((20, 100, 1000))), 2)
            question = random.choice(wordings("bigger number")).format(a=left, b=right)
            return question, f"{max(left, right)} is bigger than {min(left, right)}."
        case 2:
            place = random.randrange(25)
            question = random.choice(wordings("next letter")).format(a=ALPHABET[place])
            return question, f"The letter {ALPHABET[place + 1]} comes after {ALPHABET[place]}."
        case 3:
            number = random.randrange(1, 200)
            question = random.choice(wordings("next number")).format(a=number)
            return question, f"The number {number + 1} comes after {number}."
    return random.choice(wordings("alphabet")), f"{' '.join(ALPHABET)}."


def _day(random: Random) -> Exchange:
    days: list[str] = table("lists")["days"]
    place, kind = random.randrange(7), random.randrange(6)
    if kind == 0:
        return random.choice(wordings("days")), f"The days of the week are {listed(days)}."
    if kind == 1:
        ordinal = table("lists")["ordinals"][place]
        return f"What is the {ordinal} day of the week?", f"The {ordinal} day of the week is {days[place]}."
    if kind == 2 and random.random() < 0.6:
        tomorrow = days[(place + 1) % 7]
        return (
            f"If today is {days[place]}, what day is tomorrow?",
            f"If today is {days[place]}, tomorrow is {tomorrow}.",
        )
    if kind == 2:
        yesterday = days[place - 1]
        return (
            f"If today is {days[place]}, what day was yesterday?",
            f"If today is {days[place]}, yesterday was {yesterday}.",
        )
    return _neighbours(random, days, "day")


def _month(random: Random) -> Exchange:
    months: list[str] = table("lists")["months"]
    place = random.randrange(12)
    name, ordinal = months[place], table("lists")["ordinals"][place]
    match random.randrange(6):
        case 0:
            return random.choice(wordings("months")), f"The months of the year are {listed(months)}."
        case 1:
            question = random.choice(wordings("month of number")).format(o=ordinal)
            return question, f"The {ordinal} month of the year is {name}."
        case 2 | 3:
            days = "28 days, or 29 in a leap year" if place == 1 else f"{MONTH_DAYS[place]} days"
            return random.choice(wordings("days of month")).format(m=name), f"{name} has {days}."
        case 4:
            season = ("winter", "spring", "summer", "autumn")[(place + 1) % 12 // 3]
            question = random.choice(wordings("season of month")).format(m=name)
            return question, f"In the north of the world, {name} is in {season}."
    return _neighbours(random, months, "month")


def _neighbours(random: Random, names: list[str], kind: str) -> Exchange:
    place = random.randrange(len(names))
    before, after, name = names[place - 1], names[(place + 1) % len(names)], names[place]
    if random.random() < 0.5:
        return random.choice(wordings("comes after")).format(k=kind, n=name), f"{after} comes after {name}."
    return random.choice(wordings("comes before")).format(k=kind, n=name), f"{before} comes before {name}."
