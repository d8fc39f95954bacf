"""Countries: capitals in many wordings, continents, languages, money and neighbours, asked singly and in a row."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random

from nanochat.recipe.conversations.dialogue import (
    Dialogue,
    Exchange,
    capitalized,
    deck,
    dialogue,
    listed,
    table,
    wordings,
)
from nanochat.recipe.corpus import Country

PLAIN_CAPITAL = "What is the capital of {country}?"


def capital_sentence(country: Country) -> str:
    """Say the capital in the one form that the model learns."""
    # The full stop of "Washington, D.C." ends the sentence too.
    return f"The capital of {country.name} is {country.capital.rstrip('.')}."


def capitals(random: Random, countries: list[Country]) -> Iterator[Dialogue]:
    """Yield capitals: each country equally often, the plain wording in a third of the questions."""
    for country in deck(random, countries):
        wording = PLAIN_CAPITAL if random.random() < 0.3 else random.choice(wordings("capital"))
        exchanges: list[Exchange] = [(asked(random, wording, country.name), capital_sentence(country))]
        while random.random() < 0.25 and len(exchanges) < 5:
            other = random.choice(countries)
            exchanges.append(
                (asked(random, random.choice(wordings("next country")), other.name), capital_sentence(other))
            )
        yield dialogue(*exchanges)


def common_capitals(random: Random, countries: list[Country]) -> Iterator[Dialogue]:
    """Yield the capitals that people ask for most, under their everyday names too."""
    known = [
        (country.name, capital_sentence(country))
        for country in countries
        if country.name in table("lists")["well-known countries"]
    ]
    pairs = (
        known
        + list(table("lists")["other country names"])
        + [pair for pair in known if pair[0] in ("France", "Japan", "Germany", "Italy")] * 4
    )
    for name, sentence in deck(random, pairs):
        yield dialogue((asked(random, random.choice((PLAIN_CAPITAL, *wordings("capital"))), name), sentence))


def country_facts(random: Random, countries: list[Country]) -> Iterator[Dialogue]:
    """Yield the other facts about countries, and the country of a capital."""
    makers: tuple[Callable[[Random, Country], Exchange | None], ...] = (
        _reverse, _reverse, _about_capital, _continent, _continent, _continent, _language, _language, _money, _border,
        _demonym, _about, _about,
    )  # fmt: skip
    for country in deck(
        random,
        [*countries, *(country for country in countries if country.name in table("lists")["well-known countries"])],
    ):
        made = [exchange for make in random.sample(makers, 3) if (exchange := make(random, country))]
        shuffled = made[: 2 if random.random() < 0.3 else 1]
        if shuffled:
            yield dialogue(*shuffled)


def country_talks(random: Random, countries: list[Country]) -> Iterator[Dialogue]:
    """Yield a fact about one country, then the same of others ("And of Italy?"), then something else about the last."""
    makers = (_continent, _language, _money)
    for country in deck(random, countries):
        make = random.choice(makers)
        first = make(random, country)
        exchanges = [first]
        for other in random.sample(countries, random.randint(1, 3)):
            question = asked(random, random.choice(wordings("next country")).replace(" of ", " "), other.name)
            exchanges.append((question, make(random, other)[1]))
        if random.random() < 0.5:
            question = random.choice(
                ("And what is its capital?", "What is its capital?", "And the capital?", "its capital?")
            )
            exchanges.append((question, capital_sentence(other)))
        yield dialogue(*exchanges)


def asked(random: Random, wording: str, name: str) -> str:
    """Fill a country's name into a wording; people often leave "the" out."""
    if name.startswith("the ") and random.random() < 0.35:
        name = name[4:]
    text = wording.format(country=name)
    return capitalized(text) if wording.startswith("{") else text


def _reverse(random: Random, country: Country) -> Exchange:
    return (
        random.choice(wordings("country of capital")).format(capital=country.capital),
        f"{country.capital} is the capital of {country.name}.",
    )


def _about_capital(random: Random, country: Country) -> Exchange:
    return (
        random.choice(wordings("about capital")).format(capital=country.capital),
        f"{country.capital} is the capital of {country.name}, a country in {country.continent}.",
    )


def _continent(random: Random, country: Country) -> Exchange:
    verb = "are" if country.name.endswith(("Islands", "Maldives", "Bahamas", "Philippines", "Comoros")) else "is"
    answer = f"{capitalized(country.name)} {verb} in {country.continent}."
    return asked(random, random.choice(wordings("continent")), country.name), answer


def _language(random: Random, country: Country) -> Exchange:
    return (
        asked(random, random.choice(wordings("language")), country.name),
        f"People in {country.name} speak {listed(country.languages[:3])}.",
    )


def _money(random: Random, country: Country) -> Exchange:
    money = country.currencies[0]
    money = money[0].lower() + money[1:] if money.split()[0] in ("Euro",) else money
    return asked(
        random, random.choice(wordings("money")), country.name
    ), f"The currency of {country.name} is the {money}."


def _border(random: Random, country: Country) -> Exchange:
    question = asked(random, random.choice(wordings("border")), country.name)
    if not country.borders:
        return question, f"{capitalized(country.name)} has no neighbours on land."
    some = "Some of its neighbours are" if len(country.borders) > 4 else "Its neighbours are"
    if len(country.borders) == 1:
        return question, f"The only neighbour of {country.name} is {country.borders[0]}."
    return question, f"{some} {listed(country.borders[:4])}."


def _demonym(random: Random, country: Country) -> Exchange | None:
    if not country.demonym:
        return None
    answer = f"A person from {country.name} is called {country.demonym}."
    return asked(random, random.choice(wordings("demonym")), country.name), answer


def _about(random: Random, country: Country) -> Exchange:
    question = asked(random, random.choice(wordings("about country")), country.name)
    start = "Yes, " if question.startswith("Is ") else ""
    name = country.name if start else capitalized(country.name)
    answer = f"{start}{name} is a country in {country.continent}. Its capital is {country.capital.rstrip('.')}."
    return question, answer
