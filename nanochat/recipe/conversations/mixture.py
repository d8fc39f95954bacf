"""How much of each subject a finetuning epoch holds, and why; the one place where emphasis between subjects is set."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from random import Random
from typing import Literal

from nanochat.recipe import corpus
from nanochat.recipe.conversations import (
    arithmetic,
    calendar,
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
from nanochat.recipe.held_out import held_out_texts, plain

Roughness = Literal["none", "case", "full"]

CHAINED_SHARE = 0.12  # of the dialogues begin with one or two others, so that the model learns to change the subject
PLAIN_SYSTEM_SHARE = 0.05  # of the dialogues stand under a system message that changes nothing
LONGEST_DIALOGUE_CHARACTERS = 3_200  # about 900 tokens: the model reads 1,024


@dataclass(frozen=True, slots=True)
class Share:
    """How many dialogues of one subject an epoch holds, how rough its questions may get, and why so many."""

    subject: str
    count: int
    roughness: Roughness
    reason: str


SHARES: Sequence[Share] = (
    Share(
        "arithmetic", 24_000, "case", "copying numbers exactly must become certain: 95 of 100 sums on unseen numbers"
    ),
    Share("sums in a row", 3_500, "case", "going on from the last result"),
    Share("letters", 12_000, "none", "the same for words; half of the dictionary passes once"),
    Share("word problems", 2_600, "none", "real problems with several calculator calls, only the short ones"),
    Share("capitals", 13_600, "full", "each of the 194 countries about 90 times, in some forty wordings"),
    Share("common capitals", 3_500, "full", "what people really ask, under everyday names"),
    Share("country facts", 6_500, "full", "continents, languages, money, neighbours, cities"),
    Share("country talks", 1_500, "full", "the same fact of several countries in a row"),
    Share("elements", 4_500, "full", "118 symbols and numbers, the common ones three times as often"),
    Share("opposites", 5_500, "full", "200 pairs about 30 times"),
    Share("animal facts", 3_500, "full", "sounds, young, homes and legs"),
    Share("colour facts", 1_200, "full", "colours of things"),
    Share("word forms", 4_000, "full", "plurals, past tenses, synonyms, rhymes, examples of a kind"),
    Share("calendar", 2_500, "full", "days and months"),
    Share("counting", 1_500, "case", "counting and comparing"),
    Share("everyday things", 27_000, "full", "773 hand-written definitions about 35 times: what newcomers ask"),
    Share("encyclopedia", 17_000, "full", "5,700 vital topics three times"),
    Share("more encyclopedia", 6_000, "full", "rarer topics once, for breadth"),
    Share("people", 4_400, "full", "126 famous people 35 times"),
    Share("simple facts", 10_500, "full", "350 hand-written answers 30 times"),
    Share("trivia", 2_500, "case", "the form of quiz questions; its facts are too many to learn"),
    Share("own stories", 11_000, "full", "any hero, held to the end"),
    Share("corpus stories", 7_000, "full", "the variety of real stories"),
    Share("smalltalk", 6_500, "full", "greetings, thanks, feelings"),
    Share("small talk chains", 3_000, "full", "the same in a row"),
    Share("identity", 4_500, "full", "who it is must be right at every temperature"),
    Share("refusals", 3_200, "full", "what it cannot know or do, and nonsense"),
    Share("fun", 2_400, "full", "jokes, riddles, poems"),
    Share("name memory", 7_000, "none", "copying a name over other talk"),
    Share("fact memory", 3_500, "none", "the same for other things that were told"),
    Share("tell me more", 2_600, "full", "going on about the last topic"),
    Share("why questions", 2_200, "full", "reasons after a fact"),
    Share("next things", 2_500, "full", "questions that lean on the last one"),
    Share("repeated", 500, "full", "saying it again"),
    Share("remarks", 4_500, "full", "what people say about their day, taken up in the reply"),
    Share("kinds", 3_000, "full", "yes or no, and what kind of thing it is"),
    Share("unknowns", 2_500, "none", 'saying "I do not know" instead of inventing'),
    Share("sentences", 2_500, "full", "a sentence with a given word"),
    Share("meanings", 3_000, "full", "150 adjectives and verbs 20 times"),
    Share("spelling", 1_000, "none", "the letters of the most common words"),
    Share("system prompts", 6_000, "none", "instructions obeyed in simple ways"),
)


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
    countries = corpus.countries(folder)
    words_in_order = corpus.common_words(folder)
    encyclopedia = corpus.questions(folder, "questions-simple-wikipedia")
    vital, rarer = encyclopedia[: corpus.VITAL_QUESTIONS], encyclopedia[corpus.VITAL_QUESTIONS :]
    found = stories.find_stories(corpus.prose(folder, "tiny-stories"))
    found += stories.find_stories(corpus.prose(folder, "picture-books"))
    return {
        "arithmetic": arithmetic.arithmetic(random),
        "sums in a row": arithmetic.arithmetic_talks(random),
        "letters": letters.letters(random, letters.countable_words(words_in_order)),
        "word problems": word_problems.word_problems(random, corpus.questions(folder, "grade-school-math")),
        "capitals": geography.capitals(random, countries),
        "common capitals": geography.common_capitals(random, countries),
        "country facts": geography.country_facts(random, countries),
        "country talks": geography.country_talks(random, countries),
        "elements": elements.element_facts(random, corpus.elements(folder)),
        "opposites": words.opposites(random),
        "animal facts": words.animal_facts(random),
        "colour facts": words.colour_facts(random),
        "word forms": words.word_forms(random),
        "calendar": calendar.calendar_facts(random),
        "counting": calendar.counting(random),
        "everyday things": definitions.everyday_definitions(random),
        "encyclopedia": definitions.encyclopedia(random, vital, countries),
        "more encyclopedia": definitions.encyclopedia(random, rarer, countries),
        "people": definitions.people(random),
        "simple facts": facts.simple_facts(random),
        "trivia": facts.trivia(random, corpus.questions(folder, "trivia")),
        "own stories": tales.tales(random),
        "corpus stories": stories.corpus_stories(random, found),
        "smalltalk": smalltalk.smalltalk(random),
        "small talk chains": smalltalk.small_talk_chains(random),
        "identity": smalltalk.identity(random),
        "refusals": smalltalk.refusals(random),
        "fun": smalltalk.fun(random),
        "name memory": memory.name_memory(random, countries),
        "fact memory": memory.fact_memory(random, countries),
        "tell me more": followups.tell_me_more(random, corpus.articles(folder)),
        "why questions": followups.why_questions(random),
        "next things": followups.next_things(random),
        "repeated": followups.repeated(random),
        "remarks": remarks.remarks(random),
        "kinds": kinds.kind_questions(random),
        "unknowns": unknowns.unknowns(random, words_in_order),
        "sentences": writing.sentences_with_words(random, corpus.prose(folder, "sentences"), words_in_order),
        "meanings": writing.word_meanings(random),
        "spelling": writing.spelling(random, words_in_order),
        "system prompts": system_prompts.system_prompts(random, countries),
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
