"""What nobody can know: invented words, strangers, countries of stories, sums and counts beyond the calculator.

A small model that says "I do not know" to these invents less about the rest.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from nanochat.recipe.conversations.copying import invented_word
from nanochat.recipe.conversations.dialogue import Dialogue, Exchange, dialogue, table, with_article, wordings

LENGTH_ANSWER = "I can only count how often one letter is in a word, such as the r in strawberry."
POWER_ANSWER = "My calculator can only add, subtract, multiply and divide."


def unknowns(random: Random, words: list[str]) -> Iterator[Dialogue]:
    """Yield questions that have no answer for this model, with the plain admission."""
    while True:
        yield dialogue(_exchange(random, words))


def _exchange(random: Random, words: list[str]) -> Exchange:
    book = table("unknowns")
    match random.randrange(6):
        case 0 | 1:
            word = invented_word(random, words)
            if word in words:
                word += "oth"
            question = random.choice(wordings("unknown word")).format(a=with_article(word), word=word)
            return question, f"I do not know the word {word}."
        case 2:
            name = f"{random.choice(table('lists')['names'])} {random.choice(book['surnames'])}"
            return random.choice(wordings("unknown person")).format(name=name), f"I do not know who {name} is."
        case 3:
            country = random.choice(book["countries"])
            question = random.choice(("What is the capital of {c}?", "capital of {c}", "What's the capital of {c}?"))
            return question.format(c=country), f"{country} is not a real country, so I know no capital of it."
        case 4:
            return random.choice(wordings("word length")).format(word=random.choice(words[:6000])), LENGTH_ANSWER
    number, power = random.randint(2, random.choice((20, 100, 1000))), random.randint(3, 12)
    return random.choice(wordings("power")).format(n=number, m=power), POWER_ANSWER
