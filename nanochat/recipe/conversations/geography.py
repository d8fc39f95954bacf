"""Countries: capitals in many wordings, continents, languages, money and neighbours, asked singly and in a row."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random

from nanochat.recipe.conversations.dialogue import Dialogue, Exchange, capitalized, deck, dialogue
from nanochat.recipe.corpus import Country

PLAIN_CAPITAL = "What is the capital of {country}?"
CAPITAL_WORDINGS = (
    PLAIN_CAPITAL, "What's the capital of {country}?", "What is the capital city of {country}?", "Capital of {country}?",
    "The capital of {country}?", "capital of {country}", "{country} capital", "{country}'s capital?", "What is {country}'s capital?",
    "What's {country}'s capital?", "Tell me the capital of {country}.", "Can you tell me the capital of {country}?",
    "Which city is {country}'s capital?", "What city is {country}'s capital?", "Give me the capital of {country}.",
    "Please tell me the capital city of {country}.", "Do you know what the capital of {country} is?",
    "I want to know the capital of {country}.", "What is the name of the capital of {country}?", "What is the capital in {country}?",
    "The capital of {country} is", "Which is the capital of {country}?", "What is {country}'s capital city?",
    "What is the main city and capital of {country}?", "Name {country}'s capital.", "Do you know {country}'s capital?",
    "Where is the government of {country}?", "In which city is the government of {country}?",
    "How is the capital of {country} called?", "Tell me what the capital of {country} is.", "What do you call the capital of {country}?",
    "I need the capital of {country}.", "Say the capital of {country}.", "{country}, what is the capital?",
    "Which city is the capital city of {country}?", "What city is the capital city of {country}?", "I forgot the capital of {country}.",
)  # fmt: skip
REVERSE_WORDINGS = (
    "{capital} is the capital of which country?", "Which country has the capital {capital}?", "Of which country is {capital} the capital?",
    "What country is {capital} the capital of?", "Where is {capital}?", "In which country is {capital}?", "What country is {capital} in?",
)  # fmt: skip
ABOUT_CAPITAL = ("What is {capital}?", "Tell me about {capital}.", "what do you know about {capital}?")
CONTINENT_WORDINGS = (
    "Which continent is {country} in?", "What continent is {country} in?", "On which continent is {country}?", "Where is {country}?",
    "In which continent is {country}?", "Where in the world is {country}?", "Where does {country} lie?", "Where can I find {country}?",
)  # fmt: skip
LANGUAGE_WORDINGS = (
    "What language do people speak in {country}?", "Which language is spoken in {country}?", "What languages are spoken in {country}?",
    "What is the language of {country}?", "What do people speak in {country}?",
)  # fmt: skip
MONEY_WORDINGS = (
    "What is the currency of {country}?", "What money do people use in {country}?", "What currency does {country} use?",
    "How do people pay in {country}?",
)  # fmt: skip
BORDER_WORDINGS = ("Which countries border {country}?", "What are the neighbours of {country}?", "Name a neighbour of {country}.")
DEMONYM_WORDINGS = ("What are people from {country} called?", "How do you call a person from {country}?")
ABOUT_WORDINGS = (
    "What is {country}?", "Tell me about {country}.", "What do you know about {country}?", "Describe {country}.",
    "Is {country} a country?", "Tell me something about {country}.", "What can you tell me about {country}?",
)  # fmt: skip
NEXT_WORDINGS = ("And of {country}?", "and of {country}?", "And {country}?", "What about {country}?", "and {country}?", "How about {country}?")
WELL_KNOWN = (
    "France|Germany|Italy|Spain|Portugal|the United Kingdom|Ireland|the Netherlands|Belgium|Switzerland|Austria|Poland|Russia|"
    "Ukraine|Sweden|Norway|Denmark|Finland|Greece|Turkey|Egypt|Israel|Iran|Iraq|India|Pakistan|China|Japan|South Korea|"
    "North Korea|Thailand|Vietnam|Indonesia|Australia|New Zealand|Canada|the United States|Mexico|Brazil|Argentina|Chile|"
    "Peru|Colombia|Cuba|Nigeria|Kenya|South Africa|Ethiopia|Morocco|Saudi Arabia|Hungary|the Czech Republic"
).split("|")
OTHER_NAMES = (
    ("the USA", "The capital of the USA is Washington, D.C."), ("the US", "The capital of the US is Washington, D.C."),
    ("America", "The capital of America is Washington, D.C."), ("England", "The capital of England is London."),
    ("Great Britain", "The capital of Great Britain is London."), ("the UK", "The capital of the UK is London."),
    ("Scotland", "The capital of Scotland is Edinburgh."), ("Wales", "The capital of Wales is Cardiff."),
    ("Holland", "The capital of Holland is Amsterdam."), ("Czechia", "The capital of Czechia is Prague."),
    ("Burma", "The capital of Burma is Naypyidaw."), ("Taiwan", "The capital of Taiwan is Taipei."),
    ("Northern Ireland", "The capital of Northern Ireland is Belfast."), ("Korea", "The capital of South Korea is Seoul."),
    ("Vatican", "The capital of Vatican City is Vatican City."), ("Congo", "The capital of the Republic of the Congo is Brazzaville."),
    ("the Congo", "The capital of the Republic of the Congo is Brazzaville."), ("DR Congo", "The capital of DR Congo is Kinshasa."),
    ("Swaziland", "The capital of Swaziland is Mbabane."), ("the Vatican", "The capital of Vatican City is Vatican City."),
    ("California", "The capital of California is Sacramento."), ("Texas", "The capital of Texas is Austin."),
    ("Florida", "The capital of Florida is Tallahassee."), ("New York State", "The capital of New York State is Albany."),
    ("Europe", "Europe is a continent, so it has no capital."), ("Africa", "Africa is a continent, so it has no capital."),
    ("Asia", "Asia is a continent, so it has no capital."), ("Paris", "Paris is itself a capital: the capital of France."),
    ("London", "London is itself a capital: the capital of the United Kingdom."),
)  # fmt: skip


def capital_sentence(country: Country) -> str:
    """Say the capital in the one form that the model learns."""
    return f"The capital of {country.name} is {country.capital}."


def capitals(random: Random, countries: list[Country]) -> Iterator[Dialogue]:
    """Yield capitals: each country equally often, the plain wording in a third of the questions."""
    for country in deck(random, countries):
        wording = PLAIN_CAPITAL if random.random() < 0.3 else random.choice(CAPITAL_WORDINGS)
        exchanges: list[Exchange] = [(asked(random, wording, country.name), capital_sentence(country))]
        while random.random() < 0.25 and len(exchanges) < 5:
            other = random.choice(countries)
            exchanges.append((asked(random, random.choice(NEXT_WORDINGS), other.name), capital_sentence(other)))
        yield dialogue(*exchanges)


def common_capitals(random: Random, countries: list[Country]) -> Iterator[Dialogue]:
    """Yield the capitals that people ask for most, under their everyday names too."""
    known = [(country.name, capital_sentence(country)) for country in countries if country.name in WELL_KNOWN]
    pairs = known + list(OTHER_NAMES) + [pair for pair in known if pair[0] in ("France", "Japan", "Germany", "Italy")] * 4
    for name, sentence in deck(random, pairs):
        yield dialogue((asked(random, random.choice((PLAIN_CAPITAL, *CAPITAL_WORDINGS)), name), sentence))


def country_facts(random: Random, countries: list[Country]) -> Iterator[Dialogue]:
    """Yield the other facts about countries, and the country of a capital."""
    makers: tuple[Callable[[Random, Country], Exchange | None], ...] = (
        _reverse, _reverse, _about_capital, _continent, _continent, _continent, _language, _language, _money, _border, _demonym,
        _about, _about,
    )  # fmt: skip
    for country in deck(random, [*countries, *(country for country in countries if country.name in WELL_KNOWN)]):
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
            exchanges.append((asked(random, random.choice(("And {country}?", "What about {country}?", "and {country}?")), other.name),
                              make(random, other)[1]))  # fmt: skip
        if random.random() < 0.5:
            question = random.choice(("And what is its capital?", "What is its capital?", "And the capital?", "its capital?"))
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
        random.choice(REVERSE_WORDINGS).format(capital=country.capital),
        f"{country.capital} is the capital of {country.name}.",
    )


def _about_capital(random: Random, country: Country) -> Exchange:
    return (
        random.choice(ABOUT_CAPITAL).format(capital=country.capital),
        f"{country.capital} is the capital of {country.name}, a country in {country.continent}.",
    )


def _continent(random: Random, country: Country) -> Exchange:
    verb = "are" if country.name.endswith(("Islands", "Maldives", "Bahamas", "Philippines", "Comoros")) else "is"
    answer = f"{capitalized(country.name)} {verb} in {country.continent}."
    return asked(random, random.choice(CONTINENT_WORDINGS), country.name), answer


def _language(random: Random, country: Country) -> Exchange:
    return (
        asked(random, random.choice(LANGUAGE_WORDINGS), country.name),
        f"People in {country.name} speak {listed(country.languages[:3])}.",
    )


def _money(random: Random, country: Country) -> Exchange:
    money = country.currencies[0]
    money = money[0].lower() + money[1:] if money.split()[0] in ("Euro",) else money
    return asked(random, random.choice(MONEY_WORDINGS), country.name), f"The currency of {country.name} is the {money}."


def _border(random: Random, country: Country) -> Exchange:
    question = asked(random, random.choice(BORDER_WORDINGS), country.name)
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
    return asked(random, random.choice(DEMONYM_WORDINGS), country.name), answer


def _about(random: Random, country: Country) -> Exchange:
    question = asked(random, random.choice(ABOUT_WORDINGS), country.name)
    start = "Yes, " if question.startswith("Is ") else ""
    name = country.name if start else capitalized(country.name)
    answer = f"{start}{name} is a country in {country.continent}. Its capital is {country.capital}."
    return question, answer


def listed(items: tuple[str, ...]) -> str:
    """Join items as English does: A, B and C."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"
