"""One epoch of finetuning: so much of each subject as `shares` says, roughened, shuffled, partly chained together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from random import Random

from nanochat.recipe import corpus
from nanochat.recipe.conversations import (
    arithmetic,
    calendar,
    copying,
    definitions,
    elements,
    facts,
    followups,
    geography,
    kinds,
    letters,
    memory,
    remarks,
    smalltalk,
    stories,
    system_prompts,
    tales,
    unknowns,
    word_problems,
    words,
    writing,
)
from nanochat.recipe.conversations.dialogue import Dialogue, Turn, wordings
from nanochat.recipe.conversations.phrasing import roughened
from nanochat.recipe.conversations.shares import SHARES, Roughness
from nanochat.recipe.held_out import held_out_texts, plain

CHAINED_SHARE = 0.12  # of the dialogues begin with one or two others, so that the model learns to change the subject
PLAIN_SYSTEM_SHARE = 0.05  # of the dialogues stand under a system message that changes nothing
LONGEST_DIALOGUE_CHARACTERS = 3_200  # about 900 tokens: the model reads 1,024


def conversations(folder: Path, seed: int, *, scale: float = 1.0) -> list[Dialogue]:
    """Make one epoch of dialogues, shuffled; the same seed gives the same list.

    `scale` multiplies every share. No dialogue holds a question of the held-out set.
    """
    return [made for _, made in labelled_conversations(folder, seed, scale=scale)]


def labelled_conversations(folder: Path, seed: int, *, scale: float = 1.0) -> list[tuple[str, Dialogue]]:
    """Make one epoch of dialogues with their subjects, shuffled."""
    random = Random(seed)
    makers = subjects(folder, random)
    reserved = held_out_texts(folder)
    epoch: list[tuple[str, Dialogue]] = []
    for share in SHARES:
        allowed = (made for made in makers[share.subject] if not _is_held_out(made, reserved))
        chosen = islice(allowed, max(1, round(share.count * scale)))
        epoch += [(share.subject, _roughened(random, made, share.roughness, reserved)) for made in chosen]
    random.shuffle(epoch)
    return [(subject, _framed(random, made, epoch)) for subject, made in epoch]


def subjects(folder: Path, random: Random) -> dict[str, Iterator[Dialogue]]:
    """Return every subject's endless iterator by its name in the table of shares."""
    return {
        **_from_rules(random),
        **_of_countries(folder, corpus.common_words(folder), random),
        **_from_texts(folder, random),
        **_from_words(corpus.common_words(folder), folder, random),
    }


def characters(made: Dialogue) -> int:
    """Count the characters of a dialogue, the calculator's parts included."""
    return sum(
        len(turn["content"]) if isinstance(turn["content"], str) else sum(len(part["text"]) for part in turn["content"])
        for turn in made["messages"]
    )


def counts_by_subject(epoch: Sequence[tuple[str, Dialogue]]) -> list[tuple[str, int, int]]:
    """Return subject, dialogues and characters of an epoch, the largest first."""
    dialogues: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    for subject, made in epoch:
        dialogues[subject] += 1
        sizes[subject] += characters(made)
    return [(subject, count, sizes[subject]) for subject, count in dialogues.most_common()]


def _from_rules(random: Random) -> dict[str, Iterator[Dialogue]]:
    return {
        "arithmetic": arithmetic.arithmetic(random),
        "sums in a row": arithmetic.arithmetic_talks(random),
        "opposites": words.opposites(random),
        "animal facts": words.animal_facts(random),
        "colour facts": words.colour_facts(random),
        "word forms": words.word_forms(random),
        "calendar": calendar.calendar_facts(random),
        "counting": calendar.counting(random),
        "everyday things": definitions.everyday_definitions(random),
        "people": definitions.people(random),
        "simple facts": facts.simple_facts(random),
        "own stories": tales.tales(random),
        "smalltalk": smalltalk.smalltalk(random),
        "small talk chains": smalltalk.small_talk_chains(random),
        "identity": smalltalk.identity(random),
        "refusals": smalltalk.refusals(random),
        "fun": smalltalk.fun(random),
        "why questions": followups.why_questions(random),
        "next things": followups.next_things(random),
        "repeated": followups.repeated(random),
        "remarks": remarks.remarks(random),
        "kinds": kinds.kind_questions(random),
        "meanings": writing.word_meanings(random),
    }


def _of_countries(folder: Path, words: list[str], random: Random) -> dict[str, Iterator[Dialogue]]:
    countries = corpus.countries(folder)
    return {
        "capitals": geography.capitals(random, countries),
        "common capitals": geography.common_capitals(random, countries),
        "country facts": geography.country_facts(random, countries),
        "country talks": geography.country_talks(random, countries),
        "name memory": memory.name_memory(random, countries, words),
        "upper case": copying.upper_case(random, words, countries),
        "fact memory": memory.fact_memory(random, countries),
        "system prompts": system_prompts.system_prompts(random, countries, words),
    }


def _from_texts(folder: Path, random: Random) -> dict[str, Iterator[Dialogue]]:
    countries = corpus.countries(folder)
    encyclopedia = corpus.questions(folder, "questions-simple-wikipedia")
    vital, rarer = encyclopedia[: corpus.VITAL_QUESTIONS], encyclopedia[corpus.VITAL_QUESTIONS :]
    found = stories.find_stories(corpus.prose(folder, "tiny-stories"))
    found += stories.find_stories(corpus.prose(folder, "picture-books"))
    return {
        "elements": elements.element_facts(random, corpus.elements(folder)),
        "encyclopedia": definitions.encyclopedia(random, vital, countries),
        "more encyclopedia": definitions.encyclopedia(random, rarer, countries),
        "trivia": facts.trivia(random, corpus.questions(folder, "trivia")),
        "word problems": word_problems.word_problems(random, corpus.questions(folder, "grade-school-math")),
        "corpus stories": stories.corpus_stories(random, found),
        "tell me more": followups.tell_me_more(random, corpus.articles(folder)),
    }


def _from_words(common: list[str], folder: Path, random: Random) -> dict[str, Iterator[Dialogue]]:
    return {
        "letters": letters.letters(random, letters.countable_words(common)),
        "echoes": copying.echoes(random, common, corpus.prose(folder, "sentences")),
        "unknowns": unknowns.unknowns(random, common),
        "sentences": writing.sentences_with_words(random, corpus.prose(folder, "sentences"), common),
        "spelling": writing.spelling(random, common),
    }


def _roughened(random: Random, made: Dialogue, roughness: Roughness, reserved: frozenset[str]) -> Dialogue:
    if roughness == "none":
        return made
    turns: list[Turn] = []
    for turn in made["messages"]:
        content = turn["content"]
        if turn["role"] == "user" and isinstance(content, str):
            rough = roughened(random, content, typos=roughness == "full")
            turn = {"role": "user", "content": content if plain(rough) in reserved else rough}
        turns.append(turn)
    return {"messages": turns}


def _framed(random: Random, made: Dialogue, epoch: Sequence[tuple[str, Dialogue]]) -> Dialogue:
    """Put other talk or a plain system message before some of the dialogues."""
    if made["messages"][0]["role"] == "system":
        return made
    turns = made["messages"]
    if random.random() < CHAINED_SHARE:
        for _ in range(random.choice((1, 1, 2))):
            subject, before = random.choice(epoch)
            # What was told about the user earlier would contradict what is told later.
            safe = "memory" not in subject and before["messages"][0]["role"] != "system"
            if safe and characters({"messages": before["messages"] + turns}) < LONGEST_DIALOGUE_CHARACTERS:
                turns = before["messages"] + turns
    if random.random() < PLAIN_SYSTEM_SHARE:
        turns = [{"role": "system", "content": random.choice(wordings("plain system"))}, *turns]
    return {"messages": turns}


def _is_held_out(made: Dialogue, reserved: frozenset[str]) -> bool:
    return any(
        turn["role"] == "user" and isinstance(turn["content"], str) and plain(turn["content"]) in reserved
        for turn in made["messages"]
    )
