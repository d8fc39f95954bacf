"""A corpus of a few rows in the form of the real one, so that the recipe's tests need nothing from outside."""

from __future__ import annotations

import bz2
import json
from pathlib import Path
from typing import Any

COUNTRIES = (
    "France Paris",
    "Germany Berlin",
    "Italy Rome",
    "Spain Madrid",
    "Portugal Lisbon",
    "Poland Warsaw",
    "Greece Athens",
    "Norway Oslo",
    "Japan Tokyo",
    "China Beijing",
    "Egypt Cairo",
    "Kenya Nairobi",
    "Peru Lima",
    "Chile Santiago",
    "Cuba Havana",
    "Canada Ottawa",
)
STORY = (
    "Once upon a time, there was a little girl named Lily. Lily lived in a small house near the forest. One day, Lily "
    "went out to play and found a red ball under a tree. She was very happy and took the ball home. Her mother asked "
    "where she had found it. Lily told her about the tree and the ball. The next day a boy came to the house and was "
    "sad, because he had lost his ball. Lily gave it back to him, and they played together until the sun went down."
)
WORDS = (
    "the",
    "and",
    "was",
    "that",
    "with",
    "for",
    "strawberry",
    "banana",
    "little",
    "window",
    "garden",
    "letter",
    "bottle",
    "summer",
    "yellow",
    "running",
    "father",
)


def write_small_corpus(folder: Path) -> Path:
    """Write every file that the recipe reads, with a few rows each."""
    dog = STORY.replace("girl", "dog").replace("Lily", "Max")
    lines: dict[str, list[dict[str, Any]]] = {
        "tiny-stories": [{"text": f"{STORY}\n\n{dog}"}, {"text": STORY}],
        "picture-books": [{"text": STORY.replace("Lily", "Mia")}],
        "simple-wikipedia": [
            _article("Volcano", "A volcano is a mountain with a hole. Hot melted rock comes out of it now and then."),
            _article(
                "Obscure thing", "An obscure thing is something that nobody at all has ever asked a question about."
            ),
            _article("Cat", "A cat is a pet. Many people all over the world like to live with cats, and cats like it."),
        ],
        "sentences": [
            {"text": text} for word in WORDS for text in (f"I saw a little {word} in the garden.", f"Here is a {word}.")
        ],
        "fairy-tales": [{"text": f"There was once a king\nwho had a daughter.\n\n{STORY}"}],
        "childrens-books": [{"text": f"It was a fine day in the old town and all went well.\n\n{STORY}"}],
        "questions-simple-wikipedia": [
            _asked("What is a fugue?", "A fugue (from Latin) is a piece of music for several voices. It has one tune."),
            _asked("Tell me about Volcano.", "A volcano is a mountain with a hole in its top."),
            _asked("Who was Otto Hahn?", "Otto Hahn (1879-1968) was a German chemist. He won the Nobel Prize."),
        ],
        "trivia": [_asked("What sea does the Netherlands border?", "the North Sea.")],
        "grade-school-math": [
            _asked("Tom has 4 bags of 6 apples. How many apples?", "Tom has 4*6=<<4*6=24>>24 apples.\n#### 24")
        ],
    }
    for name, rows in lines.items():
        with bz2.open(folder / f"{name}.jsonl.bz2", "wt", encoding="utf-8") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)
    tables = {
        "countries": [_country(*pair.split()) for pair in COUNTRIES],
        "elements": _elements(),
        "common-words": WORDS,
    }
    for name, table in tables.items():
        (folder / f"{name}.json").write_text(json.dumps(table), encoding="utf-8")
    return folder


def _article(title: str, text: str) -> dict[str, str]:
    return {"title": title, "text": text}


def _asked(question: str, answer: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]}


def _country(name: str, capital: str) -> dict[str, Any]:
    return {
        "name": name,
        "capital": [capital],
        "region": "Europe",
        "subregion": "",
        "languages": ["One", "Two"],
        "currencies": ["Euro"],
        "borders": [],
        "demonym": f"{name}ish",
        "unMember": True,
    }


def _elements() -> list[dict[str, Any]]:
    rows = (("Helium", "He", 2, "Gas"), ("Hydrogen", "H", 1, "Gas"), ("Iron", "Fe", 26, "Solid"))
    return [{"name": name, "symbol": symbol, "number": number, "phase": phase} for name, symbol, number, phase in rows]
