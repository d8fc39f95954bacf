"""The chemical elements: symbol, number, name from symbol, and whether it is a gas, a liquid or a solid."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from nanochat.recipe.conversations.dialogue import Dialogue, Exchange, deck, dialogue, table, wordings
from nanochat.recipe.corpus import Element


def element_facts(random: Random, elements: list[Element]) -> Iterator[Dialogue]:
    """Yield facts about the elements, the common ones three times as often."""
    common = [element for element in elements if element.name in table("lists")["common elements"]]
    for element in deck(random, [*elements, *common, *common]):
        exchanges = [_exchange(random, element)]
        if random.random() < 0.12:
            other = random.choice(common)
            question = random.choice(("And {name}?", "What about {name}?", "And of {name}?")).format(
                name=other.name.lower()
            )
            exchanges = [
                (_symbol_question(random, element), symbol_sentence(element)),
                (question, symbol_sentence(other)),
            ]
        yield dialogue(*exchanges)


def symbol_sentence(element: Element) -> str:
    """Say the symbol in the one form that the model learns."""
    return f"The symbol of {element.name.lower()} is {element.symbol}."


def _symbol_question(random: Random, element: Element) -> str:
    return random.choice(wordings("symbol")).format(name=element.name.lower())


def _exchange(random: Random, element: Element) -> Exchange:
    name = element.name.lower()
    match random.choices(("symbol", "number", "name", "phase", "about"), (6, 3, 4, 1, 2))[0]:
        case "symbol":
            return _symbol_question(random, element), symbol_sentence(element)
        case "number":
            return random.choice(wordings("atomic number")).format(
                name=name
            ), f"The atomic number of {name} is {element.number}."
        case "name":
            question = random.choice(wordings("element of symbol")).format(symbol=element.symbol)
            return question, f"{element.symbol} is the symbol of {name}."
        case "phase":
            return random.choice(wordings("phase")).format(name=name), f"{element.name} is a {element.phase.lower()}."
    question = random.choice(("Is {name} an element?", "What kind of thing is {name}?")).format(name=name)
    return (
        question,
        f"{element.name} is a chemical element with the symbol {element.symbol} and the number {element.number}.",
    )
