"""The shape of a training conversation, and the deck that deals each item of a table equally often.

A dialogue is the dict that karpathy/nanochat renders (tokenizer.py, render_conversation): messages with a role and a
content. An assistant's content is a text, or a list of parts where it calls the calculator.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, Literal, TypeAlias, TypedDict, TypeVar


class Part(TypedDict):
    """A stretch of an assistant message."""

    type: Literal["text", "python", "python_output"]
    text: str


Answer: TypeAlias = str | list[Part]


class Turn(TypedDict):
    """One message."""

    role: Literal["system", "user", "assistant"]
    content: Answer


class Dialogue(TypedDict):
    """One training conversation."""

    messages: list[Turn]


Exchange: TypeAlias = tuple[str, Answer]
Item = TypeVar("Item")


def dialogue(*exchanges: Exchange, system: str | None = None) -> Dialogue:
    """Put questions and answers in turn, after a system message where one is given."""
    turns: list[Turn] = [] if system is None else [{"role": "system", "content": system}]
    for question, answer in exchanges:
        turns += [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return {"messages": turns}


def deck(random: Random, items: Sequence[Item]) -> Iterator[Item]:
    """Deal all items in a new order each round, for ever: every item comes equally often."""
    order = list(items)
    while order:
        random.shuffle(order)
        yield from order


@cache
def table(name: str) -> Any:
    """Return one of the recipe's own tables, read once; nobody changes it."""
    return json.loads((Path(__file__).parent / "tables" / f"{name}.json").read_text(encoding="utf-8"))


def wordings(name: str) -> list[str]:
    """Return the ways in which one thing is asked or said."""
    found: list[str] = table("wordings")[name]
    return found


def visible(answer: Answer) -> str:
    """Return what a reader sees of an answer: its text without the calculator's parts."""
    if isinstance(answer, str):
        return answer
    return "".join(part["text"] for part in answer if part["type"] == "text")


def first_sentence(text: str) -> str:
    """Cut after the first sentence; a full stop after a single letter (as in J. K. Rowling) ends none."""
    for position, character in enumerate(text[:-2]):
        if character in ".!?" and text[position + 1] in " \n" and text[position + 2].isupper():
            words = text[:position].split()
            if words and (len(words[-1]) > 2 or not words[-1][0].isupper()):
                return text[: position + 1]
    return text


def capitalized(text: str) -> str:
    """Return the text with its first letter in upper case, the rest as it is."""
    return text[:1].upper() + text[1:]


def with_article(noun: str) -> str:
    """Put "a" or "an" before a noun."""
    return f"{'an' if noun[0].lower() in 'aeiou' and not noun.startswith('uni') else 'a'} {noun}"


def listed(items: Sequence[str]) -> str:
    """Join items as English does: A, B and C."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"
