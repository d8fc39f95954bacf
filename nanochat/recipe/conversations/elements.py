"""The chemical elements: symbol, number, name from symbol, and whether it is a gas, a liquid or a solid."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from nanochat.recipe.conversations.dialogue import Dialogue, Exchange, deck, dialogue
from nanochat.recipe.corpus import Element

SYMBOL_WORDINGS = (
    "What is the symbol of {name}?", "What is the symbol for {name}?", "What is the chemical symbol of {name}?",
    "What is the chemical symbol for {name}?", "Symbol of {name}?", "Tell me the symbol of {name}.", "What's the symbol for {name}?",
    "Which symbol stands for {name}?", "Give me the chemical symbol of {name}.",
)  # fmt: skip
NUMBER_WORDINGS = (
    "What is the atomic number of {name}?", "Which number does {name} have?", "Atomic number of {name}?",
    "What number is {name} in the periodic table?",
)  # fmt: skip
NAME_WORDINGS = (
    "Which element has the symbol {symbol}?", "What element is {symbol}?", "What does {symbol} stand for in chemistry?",
    "What is the element {symbol}?",
)  # fmt: skip
PHASE_WORDINGS = ("Is {name} a gas, a liquid or a solid?", "Is {name} a solid?", "Is {name} a gas?")
COMMON = (
    "Hydrogen Helium Carbon Nitrogen Oxygen Sodium Magnesium Aluminium Silicon Sulfur Chlorine Potassium Calcium Iron Copper Zinc "
    "Silver Tin Iodine Gold Mercury Lead Neon Nickel Uranium Platinum Lithium Fluorine Phosphorus Titanium"
).split()


def element_facts(random: Random, elements: list[Element]) -> Iterator[Dialogue]:
    """Yield facts about the elements, the common ones three times as often."""
    common = [element for element in elements if element.name in COMMON]
    for element in deck(random, [*elements, *common, *common]):
        exchanges = [_exchange(random, element)]
        if random.random() < 0.12:
            other = random.choice(common)
            question = random.choice(("And {name}?", "What about {name}?", "And of {name}?")).format(name=other.name.lower())
            exchanges = [(_symbol_question(random, element), symbol_sentence(element)), (question, symbol_sentence(other))]
        yield dialogue(*exchanges)


def symbol_sentence(element: Element) -> str:
    """Say the symbol in the one form that the model learns."""
    return f"The symbol of {element.name.lower()} is {element.symbol}."


def _symbol_question(random: Random, element: Element) -> str:
    return random.choice(SYMBOL_WORDINGS).format(name=element.name.lower())


def _exchange(random: Random, element: Element) -> Exchange:
    name = element.name.lower()
    match random.choices(("symbol", "number", "name", "phase", "about"), (6, 3, 4, 1, 2))[0]:
        case "symbol":
            return _symbol_question(random, element), symbol_sentence(element)
        case "number":
            return random.choice(NUMBER_WORDINGS).format(name=name), f"The atomic number of {name} is {element.number}."
        case "name":
            question = random.choice(NAME_WORDINGS).format(symbol=element.symbol)
            return question, f"{element.symbol} is the symbol of {name}."
        case "phase":
            return random.choice(PHASE_WORDINGS).format(name=name), f"{element.name} is a {element.phase.lower()}."
    question = random.choice(("Is {name} an element?", "What kind of thing is {name}?")).format(name=name)
    return question, f"{element.name} is a chemical element with the symbol {element.symbol} and the number {element.number}."
