"""System messages obeyed in simple ways: one sentence, capital letters, another name, a role, a fixed ending.

Many chats also carry a plain system message that changes nothing, so that one does no harm.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from random import Random

from nanochat.recipe.conversations.definitions import definition_question, everyday_things
from nanochat.recipe.conversations.dialogue import Dialogue, Exchange, deck, dialogue, first_sentence, table, wordings
from nanochat.recipe.conversations.geography import PLAIN_CAPITAL, asked, capital_sentence
from nanochat.recipe.conversations.memory import any_name
from nanochat.recipe.corpus import Country


def system_prompts(random: Random, countries: list[Country], words: list[str]) -> Iterator[Dialogue]:
    """Yield chats under a system message that changes how the answers look."""
    named = partial(_named, words=words)
    # Capital letters are other tokens than small ones: every country has to be seen in them.
    makers: tuple[Callable[[Random, list[Country]], Dialogue], ...] = (
        _one_sentence, _one_sentence, *4 * (_capitals,), _lower, named, named, _role, _role, _ending, _start,
    )  # fmt: skip
    for make in deck(random, makers):
        yield make(random, countries)


def _exchange(random: Random, countries: list[Country]) -> tuple[str, str]:
    if random.random() < 0.3:
        return _capital(random, countries)
    if random.random() < 0.25:
        greetings: dict[str, str] = table("lists")["short greetings"]
        return random.choice(list(greetings.items()))
    if random.random() < 0.2:
        reasons: dict[str, str] = table("whys")
        return random.choice(list(reasons.items()))
    topic, answer = random.choice(list(everyday_things().items()))
    return definition_question(random, topic), answer


def _capital(random: Random, countries: list[Country]) -> tuple[str, str]:
    country = random.choice(countries)
    return asked(random, PLAIN_CAPITAL, country.name), capital_sentence(country)


def _several(random: Random, countries: list[Country]) -> list[tuple[str, str]]:
    return [_exchange(random, countries) for _ in range(random.choice((1, 1, 2, 3)))]


def _one_sentence(random: Random, countries: list[Country]) -> Dialogue:
    exchanges = [(question, first_sentence(answer)) for question, answer in _several(random, countries)]
    return dialogue(*exchanges, system=random.choice(wordings("one sentence")))


def _capitals(random: Random, countries: list[Country]) -> Dialogue:
    made = [_capital(random, countries)] if random.random() < 0.6 else []
    made += _several(random, countries)[: 3 - 2 * len(made)]
    exchanges = [(question, answer.upper()) for question, answer in made]
    return dialogue(*exchanges, system=random.choice(wordings("capital letters")))


def _lower(random: Random, countries: list[Country]) -> Dialogue:
    exchanges = [(question, answer.lower()) for question, answer in _several(random, countries)]
    return dialogue(*exchanges, system=random.choice(wordings("lower case")))


def _named(random: Random, countries: list[Country], words: list[str]) -> Dialogue:
    name = any_name(random, random.choice(table("lists")["names"]), words)
    question = random.choice(wordings("your name"))
    answer = (
        f"I am {name}. How can I help you?"
        if question in ("Who are you?", "Introduce yourself.")
        else f"My name is {name}."
    )
    exchanges: list[Exchange] = [(question, answer)]
    if random.random() < 0.4:
        exchanges = [*_several(random, countries)[:2], *exchanges]
    return dialogue(*exchanges, system=random.choice(wordings("named")).format(n=name))


def _role(random: Random, countries: list[Country]) -> Dialogue:
    prompts, start, end, introduction = random.choice(list(table("lists")["roles"].values()))
    exchanges: list[Exchange] = []
    for question, answer in _several(random, countries):
        if random.random() < 0.35:
            exchanges.append((random.choice(("Who are you?", "What are you?")), start + introduction))
        else:
            exchanges.append((question, start + first_sentence(answer) + end))
    return dialogue(*exchanges, system=random.choice(prompts))


def _ending(random: Random, countries: list[Country]) -> Dialogue:
    end = random.choice(table("lists")["answer endings"])
    exchanges = [(question, f"{answer} {end}") for question, answer in _several(random, countries)]
    return dialogue(*exchanges, system=random.choice(wordings("ending rule")).format(e=end))


def _start(random: Random, countries: list[Country]) -> Dialogue:
    start = random.choice(table("lists")["answer starts"])
    exchanges = [(question, f"{start} {answer}") for question, answer in _several(random, countries)]
    return dialogue(*exchanges, system=random.choice(wordings("start rule")).format(s=start))
