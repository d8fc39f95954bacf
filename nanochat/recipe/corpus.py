"""The training text: what is read from the corpus folder, how it is cleaned, and how often each source is seen.

A small model learns what it sees often, so the emphasis is decided here: very simple stories pass several times, the
articles on everyday topics more often than the rest, and passages of old books once. The folder holds bzip2-compressed
JSON lines (`{"text"}` for prose, `{"messages"}` for conversations) and plain JSON tables; where it lies is an argument.
"""

from __future__ import annotations

import bz2
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nanochat.errors import RecipeError


@dataclass(frozen=True, slots=True)
class Country:
    """One country as people name it, with what can be asked about it."""

    name: str
    capital: str
    continent: str
    subregion: str
    languages: tuple[str, ...]
    currencies: tuple[str, ...]
    borders: tuple[str, ...]
    demonym: str


@dataclass(frozen=True, slots=True)
class Element:
    """One chemical element."""

    name: str
    symbol: str
    number: int
    phase: str


@dataclass(frozen=True, slots=True)
class QuestionAnswer:
    """One question with its answer, as a conversation file of the corpus holds it."""

    question: str
    answer: str


@dataclass(frozen=True, slots=True)
class ProseSource:
    """A file of prose, how many passes of it one epoch of pretraining makes, and why."""

    name: str
    passes: int
    reason: str


PROSE_SOURCES: Sequence[ProseSource] = (
    ProseSource("tiny-stories", 6, "the plainest English there is, and little of it: stories are learned here"),
    ProseSource("picture-books", 4, "stories that children can read"),
    ProseSource("simple-wikipedia", 1, "facts in simple words"),
    ProseSource("sentences", 2, "the grammar of everyday sentences"),
    ProseSource("fairy-tales", 2, "longer stories that keep their hero"),
    ProseSource("childrens-books", 1, "varied language, but old"),
)
VITAL_PASSES = 4  # of the articles whose topic is among the vital ones, in all
VITAL_QUESTIONS = 6_383  # the first questions of questions-simple-wikipedia are on the vital topics

_STORY_START = re.compile(r"\n+(?=(?:One day|Once upon a time|Once there|There once|There was once)[ ,])")
_EMPTY_BRACKETS = re.compile(r'\s*\([\s;,:"\'-]*\)')
_BRACKETS = re.compile(r"\s*\([^()]*\)")
_NAMES = {
    "DR Congo": "the Democratic Republic of the Congo",
    "Congo": "the Republic of the Congo",
    "Türkiye": "Turkey",
    "Czechia": "the Czech Republic",
    "Timor-Leste": "East Timor",
    "São Tomé and Príncipe": "Sao Tome and Principe",
}
_WITH_ARTICLE = (
    "United Arab Emirates",
    "Bahamas",
    "Central African Republic",
    "Comoros",
    "Dominican Republic",
    "United Kingdom",
    "Gambia",
    "Maldives",
    "Marshall Islands",
    "Netherlands",
    "Philippines",
    "Solomon Islands",
    "Seychelles",
    "United States",
)
_PLAIN_CAPITALS = {
    "Brazil": "Brasilia",
    "Cameroon": "Yaounde",
    "Colombia": "Bogota",
    "Costa Rica": "San Jose",
    "Moldova": "Chisinau",
    "Maldives": "Male",
    "Paraguay": "Asuncion",
    "São Tomé and Príncipe": "Sao Tome",
    "Togo": "Lome",
    "United States": "Washington, D.C.",
    "Eswatini": "Mbabane",
}


def read_lines(folder: Path, name: str) -> Iterator[dict[str, Any]]:
    """Yield the objects of one JSON-lines file; RecipeError says which file is missing or damaged."""
    path = folder / f"{name}.jsonl.bz2"
    try:
        with bz2.open(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                yield json.loads(line)
    except FileNotFoundError as exc:
        raise RecipeError(f"The corpus has no file {path.name} in {folder}: give the folder that holds it.") from exc
    except (OSError, EOFError, UnicodeDecodeError, json.JSONDecodeError) as exc:
        raise RecipeError(f"The corpus file {path.name} cannot be read: it is damaged or of another form.") from exc


def read_table(folder: Path, name: str) -> Any:
    """Return a JSON table of the corpus; RecipeError says which one is missing or damaged."""
    path = folder / f"{name}.json"
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as exc:
        raise RecipeError(f"The corpus has no file {path.name} in {folder}: give the folder that holds it.") from exc
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as exc:
        raise RecipeError(f"The corpus file {path.name} cannot be read: it is damaged or of another form.") from exc


def clean(text: str) -> str:
    """Undo hard wraps, keep paragraphs, and drop brackets that their source left empty."""
    paragraphs = [" ".join(part.split()) for part in re.split(r"\n\s*\n", text)]
    joined = "\n\n".join(part for part in paragraphs if part)
    return _EMPTY_BRACKETS.sub("", joined).replace(" ,", ",").replace(" .", ".").replace("--", " - ")


def without_brackets(text: str) -> str:
    """Drop bracketed asides, the inner ones first; what remains reads as a plain sentence."""
    previous = ""
    while previous != text:
        previous, text = text, _BRACKETS.sub("", text)
    return " ".join(text.split()).replace(" ,", ",").replace(" .", ".")


def is_plain_english(text: str) -> bool:
    """Whether nearly all letters are English ones and most characters are letters."""
    letters = sum(character.isalpha() for character in text)
    plain = sum(character.isascii() and character.isalpha() for character in text)
    return letters > 0.6 * len(text) and plain >= 0.97 * letters


def prose(folder: Path, name: str) -> Iterator[str]:
    """Yield the cleaned texts of one prose file: whole articles with their title, single stories, passages."""
    for item in read_lines(folder, name):
        text = str(item["text"])
        if name == "tiny-stories":
            yield from (story.strip() for story in _STORY_START.split(text) if len(story) > 100)
            continue
        text = clean(text) if name in ("fairy-tales", "childrens-books") else _EMPTY_BRACKETS.sub("", text).strip()
        if len(text) > (10 if name == "sentences" else 60) and is_plain_english(text):
            yield text


def sentence_groups(sentences: Iterator[str], size: int = 6) -> Iterator[str]:
    """Join single sentences into short texts, so that one document is not one line."""
    group: list[str] = []
    for sentence in sentences:
        group.append(sentence)
        if len(group) == size:
            yield "\n".join(group)
            group = []
    if group:
        yield "\n".join(group)


def pretraining_texts(folder: Path) -> Iterator[tuple[str, int]]:
    """Yield every text with the number of passes an epoch makes over it."""
    vital = {_topic_key(title) for title in vital_titles(folder)}
    for source in PROSE_SOURCES:
        if source.name == "simple-wikipedia":
            for item in read_lines(folder, source.name):
                text = _EMPTY_BRACKETS.sub("", str(item["text"])).strip()
                if len(text) > 60 and is_plain_english(text):
                    yield text, VITAL_PASSES if _topic_key(str(item["title"])) in vital else source.passes
        elif source.name == "sentences":
            yield from ((text, source.passes) for text in sentence_groups(prose(folder, source.name)))
        else:
            yield from ((text, source.passes) for text in prose(folder, source.name))


def articles(folder: Path) -> dict[str, str]:
    """Return the Simple Wikipedia articles by their title in lower case."""
    return {str(item["title"]).lower(): str(item["text"]) for item in read_lines(folder, "simple-wikipedia")}


def questions(folder: Path, name: str) -> list[QuestionAnswer]:
    """Return the single-turn conversations of one file."""
    found = []
    for item in read_lines(folder, name):
        question, answer = item["messages"][:2]
        found.append(QuestionAnswer(str(question["content"]).strip(), str(answer["content"]).strip()))
    return found


def vital_titles(folder: Path) -> list[str]:
    """Return the topics that the vital questions ask about, as far as their wording shows them."""
    pairs = questions(folder, "questions-simple-wikipedia")[:VITAL_QUESTIONS]
    return [topic for pair in pairs if (topic := asked_topic(pair.question))]


def asked_topic(question: str) -> str | None:
    """Return what a definition question asks about, its article kept ("a fugue"), or None for other questions."""
    for pattern in _TOPIC_PATTERNS:
        match = pattern.fullmatch(question.strip())
        if match:
            return match["topic"].strip().strip('"')
    return None


def countries(folder: Path) -> list[Country]:
    """Return the 193 members of the United Nations and the Vatican, named as people name them."""
    return [_country(row) for row in read_table(folder, "countries") if row["unMember"]]


def elements(folder: Path) -> list[Element]:
    """Return the chemical elements that have been made or found, in order."""
    rows = sorted(read_table(folder, "elements"), key=lambda row: int(row["number"]))
    return [
        Element(row["name"], row["symbol"], int(row["number"]), row["phase"]) for row in rows if row["number"] < 119
    ]


def common_words(folder: Path) -> list[str]:
    """Return plain lower-case words of three letters or more, the most common first."""
    return [word for word in read_table(folder, "common-words") if re.fullmatch(r"[a-z]{3,}", word)]


_TOPIC_PATTERNS = [
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"(?:what|who) (?:is|are|was|were) (?P<topic>.+?)\??",
        r"(?:can you )?tell me (?:what|who) (?P<topic>.+?) (?:is|are|was|were)[?.]?",
        r"explain (?:what|who) (?P<topic>.+?) (?:is|are|was|were)[?.]?",
        r"explain (?P<topic>.+?) in simple words[?.]?",
        r"tell me about (?P<topic>.+?)[?.]?",
        r"what do you know about (?P<topic>.+?)\??",
        r'what does "?(?P<topic>.+?)"? mean\??',
        r"define (?P<topic>.+?)[?.]?",
    )
]


def _topic_key(title: str) -> str:
    return re.sub(r"^(?:an?|the) ", "", title.lower())


def _country(row: dict[str, Any]) -> Country:
    name = str(row["name"])
    shown = _NAMES.get(name, f"the {name}" if name in _WITH_ARTICLE else name)
    capital = _PLAIN_CAPITALS.get(name, str(row["capital"][0]))
    continent = str(row["region"])
    if continent == "Americas":
        continent = "South America" if row["subregion"] == "South America" else "North America"
    return Country(
        shown,
        capital,
        continent,
        str(row["subregion"]),
        tuple("Romanian" if language == "Moldavian" else language for language in row["languages"]),
        tuple(row["currencies"]) or ("United States dollar",),  # Micronesia's row is empty
        tuple(_NAMES.get(border, f"the {border}" if border in _WITH_ARTICLE else border) for border in row["borders"]),
        str(row["demonym"]),
    )
