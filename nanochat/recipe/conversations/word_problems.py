"""Short word problems of GSM8K's train split, with its marked calculations as calculator calls."""

from __future__ import annotations

import re
from collections.abc import Iterator
from random import Random

from nanochat.chat.tools import calculate
from nanochat.recipe.conversations.dialogue import Dialogue, Part, deck, dialogue
from nanochat.recipe.corpus import QuestionAnswer

LONGEST_QUESTION, LONGEST_SOLUTION = 230, 220
_CALL = re.compile(r"<<([^=<>]+)=([^<>]+)>>")


def word_problems(random: Random, pairs: list[QuestionAnswer]) -> Iterator[Dialogue]:
    """Yield problems that are short and whose every marked calculation the calculator confirms."""
    solved = [(pair.question, parts) for pair in pairs if (parts := solution_parts(pair))]
    for question, parts in deck(random, solved):
        yield dialogue((question, list(parts)))


def solution_parts(pair: QuestionAnswer) -> list[Part] | None:
    """Turn a marked solution into parts; None where it is long or its calculation is not the calculator's."""
    if len(pair.question) > LONGEST_QUESTION or len(pair.answer) > LONGEST_SOLUTION or not pair.answer.isascii():
        return None
    solution, _, result = pair.answer.partition("\n#### ")
    solution = " ".join(line if line.endswith((".", "!", "?")) else f"{line}." for line in solution.split("\n"))
    parts: list[Part] = []
    position = 0
    for call in _CALL.finditer(solution):
        output = calculate(call[1])
        if output is None or output.removesuffix(".0") != call[2]:
            return None
        parts += [
            {"type": "text", "text": solution[position : call.start()]},
            {"type": "python", "text": call[1]},
            {"type": "python_output", "text": output},
        ]
        position = call.end()
    if not parts or not solution.strip().endswith("."):
        return None
    parts.append({"type": "text", "text": f"{solution[position:].strip()} The answer is {result.strip()}."})
    return parts
