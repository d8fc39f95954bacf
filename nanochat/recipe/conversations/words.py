"""Words and what children learn about them: opposites, sounds and young of animals, colours, plurals, rhymes, days, months."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random

from nanochat.recipe.conversations.dialogue import Dialogue, Exchange, capitalized, deck, dialogue, table
from nanochat.recipe.conversations.geography import listed

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December",
)  # fmt: skip
MONTH_DAYS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
ORDINALS = (
    "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth", "eleventh", "twelfth",
)  # fmt: skip
OPPOSITE_WORDINGS = (
    "What is the opposite of {word}?", "What's the opposite of {word}?", "Opposite of {word}?", "the opposite of {word}",
    "Tell me the opposite of {word}.", "What is the opposite of the word {word}?", "What word is the opposite of {word}?",
    "Give me the opposite of {word}.", "Can you tell me the opposite of {word}?", "{word}: what is the opposite?",
)  # fmt: skip
NEXT_OPPOSITES = ("And of {word}?", "And {word}?", "What about {word}?", "and {word}?")


def opposites(random: Random) -> Iterator[Dialogue]:
    """Yield opposites, each word equally often, some in a row."""
    pairs = list(table("words")["opposites"].items())
    for word, opposite in deck(random, pairs):
        exchanges: list[Exchange] = [(random.choice(OPPOSITE_WORDINGS).format(word=word), opposite_sentence(word, opposite))]
        while random.random() < 0.2:
            other, its_opposite = random.choice(pairs)
            exchanges.append((random.choice(NEXT_OPPOSITES).format(word=other), opposite_sentence(other, its_opposite)))
        yield dialogue(*exchanges)


def opposite_sentence(word: str, opposite: str) -> str:
    """Say an opposite in the one form that the model learns."""
    return f"The opposite of {word} is {opposite}."


def animal_facts(random: Random) -> Iterator[Dialogue]:
    """Yield what animals say, how their young are called, where they live and how many legs they have."""
    words = table("words")
    makers: list[Callable[[], Exchange]] = [
        lambda: _filled(random, words["sounds"], ("What sound does {a} make?", "What does {a} say?", "What noise does {a} make?"),
                        "{A} says {value}."),
        lambda: _filled(random, words["babies"], ("What is a baby {key} called?", "What do you call a baby {key}?", "What is the young of {a} called?",
                                                  "What is the baby of {a} called?"), "A baby {key} is called a {value}."),
        lambda: _filled(random, words["homes"], ("Where does {a} live?", "What is the home of {a}?", "Where does {a} sleep?"), "{A} lives in {value}."),
        lambda: _filled(random, words["legs"], ("How many legs does {a} have?", "How many legs has {a}?", "how many legs {a}"), "{A} has {value} legs."),
        lambda: _filled(random, words["groups"], ("What is a group of {key} called?", "What do you call a group of {key}?"), "A group of {key} is called a {value}."),
        lambda: _filled(random, words["females"], ("What is the female form of {key}?", "What is the female word for {key}?"),
                        "The female form of {key} is {value}."),
    ]  # fmt: skip
    for make in deck(random, [*makers, *makers[:4]]):
        yield dialogue(make())


def colour_facts(random: Random) -> Iterator[Dialogue]:
    """Yield colours of things and of mixed paint."""
    words = table("words")
    while True:
        if random.random() < 0.25:
            mixed, colour = random.choice(list(words["mixes"].items()))
            wording = random.choice(("What colour do {m} make?", "What color do you get when you mix {m}?", "What do you get if you mix {m}?"))
            yield dialogue((wording.format(m=mixed), f"{capitalized(mixed)} make {colour}."))
            continue
        thing, colour = random.choice(list(words["colours"].items()))
        wording = random.choice(("What colour is {t}?", "What color is {t}?", "Which colour does {t} have?", "What is the colour of {t}?"))
        yield dialogue((wording.format(t=thing), f"{capitalized(thing)} is {colour}."))


def word_forms(random: Random) -> Iterator[Dialogue]:
    """Yield plurals, past tenses, synonyms, rhymes, and examples of a kind of thing."""
    words = table("words")
    makers: list[Callable[[], Exchange]] = [
        lambda: _filled(random, words["plurals"], ("What is the plural of {key}?", "Plural of {key}?", "How do you write more than one {key}?"), "The plural of {key} is {value}."),
        lambda: _filled(random, words["pasts"], ("What is the past tense of {key}?", "What is the past of {key}?", "Past tense of {key}?"), "The past tense of {key} is {value}."),
        lambda: _filled(random, words["synonyms"], ("What is another word for {key}?", "Give me a synonym for {key}.", "What word means the same as {key}?"), "Another word for {key} is {value}."),
        lambda: _rhyme(random, words["rhymes"]),
        lambda: _examples(random, words["kinds"]),
        lambda: _examples(random, words["kinds"]),
    ]  # fmt: skip
    for make in deck(random, makers):
        yield dialogue(make())


def calendar_facts(random: Random) -> Iterator[Dialogue]:
    """Yield the order of days and months, their number, and the lengths of months."""
    while True:
        yield dialogue(_day(random) if random.random() < 0.45 else _month(random))


def counting(random: Random) -> Iterator[Dialogue]:
    """Yield counting to a number, letters of the alphabet in order, and which of two numbers is larger."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    while True:
        match random.randrange(5):
            case 0:
                last = random.choice((3, 5, 10, 10, 10, 12, 15, 20))
                question = random.choice(("Count to {n}.", "Can you count to {n}?", "Count from 1 to {n}.", "Please count to {n}"))
                yield dialogue((question.format(n=last), ", ".join(str(number) for number in range(1, last + 1)) + "."))
            case 1:
                left, right = random.sample(range(1, random.choice((20, 100, 1000))), 2)
                question = random.choice(("Which is bigger, {a} or {b}?", "Which number is larger, {a} or {b}?", "What is more, {a} or {b}?"))
                yield dialogue((question.format(a=left, b=right), f"{max(left, right)} is bigger than {min(left, right)}."))
            case 2:
                place = random.randrange(25)
                question = random.choice(("What letter comes after {a}?", "Which letter comes after {a} in the alphabet?"))
                yield dialogue((question.format(a=alphabet[place]), f"The letter {alphabet[place + 1]} comes after {alphabet[place]}."))
            case 3:
                number = random.randrange(1, 200)
                question = random.choice(("What number comes after {a}?", "Which number comes after {a}?", "What comes after {a}?"))
                yield dialogue((question.format(a=number), f"The number {number + 1} comes after {number}."))
            case _:
                question = random.choice(("What is the alphabet?", "Say the alphabet.", "Tell me the alphabet.", "List the letters of the alphabet."))
                yield dialogue((question, " ".join(alphabet) + "."))


def with_article(noun: str) -> str:
    """Put "a" or "an" before a noun."""
    return f"{'an' if noun[0].lower() in 'aeiou' else 'a'} {noun}"


def _filled(random: Random, pairs: dict[str, str], wordings: tuple[str, ...], answer: str) -> Exchange:
    key, value = random.choice(list(pairs.items()))
    slots = {"key": key, "value": value, "a": with_article(key), "A": capitalized(with_article(key))}
    return random.choice(wordings).format(**slots), answer.format(**slots)


def _rhyme(random: Random, rhymes: dict[str, list[str]]) -> Exchange:
    word, others = random.choice(list(rhymes.items()))
    wording = random.choice(("What rhymes with {w}?", "Give me a word that rhymes with {w}.", "Which words rhyme with {w}?"))
    return wording.format(w=word), f"{capitalized(listed(tuple(others)))} rhyme with {word}."


def _examples(random: Random, kinds: dict[str, list[str]]) -> Exchange:
    kind, members = random.choice(list(kinds.items()))
    if random.random() < 0.4:
        wording = random.choice(("Name {a}.", "Give me an example of {a}.", "Tell me the name of {a}.", "Can you name {a}?"))
        return wording.format(a=with_article(kind)), f"{capitalized(random.choice(members))} is {with_article(kind)}."
    some = tuple(random.sample(members, min(3, len(members))))
    few, number = ("two", 2) if len(some) == 2 else ("three", 3)
    plural = {"fish": "fish", "piece of furniture": "pieces of furniture", "country": "countries", "gas": "gases"}.get(kind, kind + "s")
    wording = random.choice(("Name {few} {kinds}.", "Name {n} {kinds}.", "Give me {few} {kinds}.", "Tell me {few} {kinds}.", "List {few} {kinds}."))
    if len(some) == 3 and random.random() < 0.3:
        wording = random.choice(("Name some {kinds}.", "What are some {kinds}?", "Tell me some {kinds}.", "Which {kinds} do you know?"))
    return wording.format(few=few, n=number, kinds=plural), f"{capitalized(listed(some))}."


def _neighbours(random: Random, names: tuple[str, ...], kind: str) -> Exchange:
    place = random.randrange(len(names))
    before, after, name = names[place - 1], names[(place + 1) % len(names)], names[place]
    if random.random() < 0.5:
        question = random.choice(("What {k} comes after {n}?", "Which {k} comes after {n}?", "What {k} is after {n}?", "What comes after {n}?"))
        return question.format(k=kind, n=name), f"{after} comes after {name}."
    question = random.choice(("What {k} comes before {n}?", "Which {k} is before {n}?", "What comes before {n}?"))
    return question.format(k=kind, n=name), f"{before} comes before {name}."


def _day(random: Random) -> Exchange:
    kind = random.randrange(6)
    if kind == 0:
        question = random.choice(("What are the days of the week?", "Name the days of the week.", "List the days of the week."))
        return question, f"The days of the week are {listed(DAYS)}."
    if kind == 1:
        place = random.randrange(7)
        return f"What is the {ORDINALS[place]} day of the week?", f"The {ORDINALS[place]} day of the week is {DAYS[place]}."
    if kind == 2:
        place = random.randrange(7)
        today, tomorrow, yesterday = DAYS[place], DAYS[(place + 1) % 7], DAYS[place - 1]
        if random.random() < 0.6:
            return f"If today is {today}, what day is tomorrow?", f"If today is {today}, tomorrow is {tomorrow}."
        return f"If today is {today}, what day was yesterday?", f"If today is {today}, yesterday was {yesterday}."
    return _neighbours(random, DAYS, "day")


def _month(random: Random) -> Exchange:
    place = random.randrange(12)
    name, ordinal = MONTHS[place], ORDINALS[place]
    match random.randrange(6):
        case 0:
            question = random.choice(("What are the months of the year?", "Name the months.", "List the months of the year."))
            return question, f"The months of the year are {listed(MONTHS)}."
        case 1:
            question = random.choice(("What is the {o} month of the year?", "Which month is the {o}?", "What is the {o} month?"))
            return question.format(o=ordinal), f"The {ordinal} month of the year is {name}."
        case 2 | 3:
            days = "28 days, or 29 in a leap year" if place == 1 else f"{MONTH_DAYS[place]} days"
            question = random.choice(("How many days does {m} have?", "How many days are in {m}?", "How long is {m}?"))
            return question.format(m=name), f"{name} has {days}."
        case 4:
            season = ("winter", "spring", "summer", "autumn")[(place + 1) % 12 // 3]
            question = random.choice(("What season is {m}?", "In which season is {m}?"))
            return question.format(m=name), f"In the north of the world, {name} is in {season}."
    return _neighbours(random, MONTHS, "month")

