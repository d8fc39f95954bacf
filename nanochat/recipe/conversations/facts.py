"""Why, how, how many, which and who: hand-written questions with one true answer each, asked in many ways."""

from __future__ import annotations

import re
from collections.abc import Iterator
from random import Random

from nanochat.recipe.conversations.dialogue import Dialogue, capitalized, deck, dialogue, table, wordings
from nanochat.recipe.corpus import QuestionAnswer, is_plain_english

LONGEST_TRIVIA_ANSWER = 60


def simple_facts(random: Random) -> Iterator[Dialogue]:
    """Yield the hand-written questions, each equally often."""
    pairs = [pair for name in ("whys", "hows", "questions") for pair in table(name).items()]
    for question, answer in deck(random, pairs):
        yield dialogue((reworded(random, question), answer))


def reworded(random: Random, question: str) -> str:
    """Ask the same in other words, where its grammar allows a simple change."""
    frame = random.choice(wordings("frame"))
    if frame != "{question}":
        indirect = _indirect(question)
        return frame.format(indirect=indirect) if indirect else question
    if question.startswith("How do I "):
        rest = question.removeprefix("How do I ")
        return (
            random.choice(
                ("How do I ", "How can I ", "How do you ", "Tell me how to ", "How to ", "What is the best way to ")
            )
            + rest
        )
    if question.startswith("Why do we ") and random.random() < 0.3:
        return "Why do people " + question.removeprefix("Why do we ")
    return question


def trivia(random: Random, pairs: list[QuestionAnswer]) -> Iterator[Dialogue]:
    """Yield short quiz questions of the corpus that ask plainly and whose answers are short."""
    for pair in deck(random, [pair for pair in pairs if _is_plain(pair)]):
        yield dialogue((pair.question, capitalized(pair.answer)))


def _indirect(question: str) -> str | None:
    """Turn "Why is the sky blue?" into "why the sky is blue", for the verbs where that is safe."""
    match = re.fullmatch(r"(Why|Where|When) (is|are) ((?:the |a |an )?\w+) (.+)\?", question)
    if match:
        word, verb, subject, rest = match.groups()
        return f"{word.lower()} {subject} {verb} {rest}"
    match = re.fullmatch(
        r"(Why|How|Where|What) do (we|birds|cats|dogs|bees|people|plants|fish|stars|computers|planes|cows) (.+)\?",
        question,
    )
    if match:
        word, subject, rest = match.groups()
        return f"{word.lower()} {subject} {rest}"
    match = re.fullmatch(r"(Who|How many \w+) (painted|wrote|invented|discovered|built|are in) (.+)\?", question)
    if match:
        return question[0].lower() + question[1:-1]
    if question.startswith("How do I "):
        return "how to " + question.removeprefix("How do I ").rstrip("?")
    return None


def _is_plain(pair: QuestionAnswer) -> bool:
    asks = re.match(r"(?:what|who|where|which|when|how|in what|in which)\b", pair.question, re.IGNORECASE)
    good = len(pair.question) < 90 and pair.question.endswith("?") and 2 < len(pair.answer) < LONGEST_TRIVIA_ANSWER
    vague = re.search(r"\b(?:following|these|this|not|none|above|your)\b", pair.question + pair.answer, re.IGNORECASE)
    return bool(asks and good and not vague and is_plain_english(pair.question))
