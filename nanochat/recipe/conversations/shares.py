"""How much of each subject a finetuning epoch holds, and why; the one place where emphasis between subjects is set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Roughness = Literal["none", "case", "full"]


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
    Share("letters", 20_000, "none", "the same for words, many of them invented so that they must be copied"),
    Share(
        "echoes", 24_000, "none", "copying by itself: with half as many, one in ten unseen words became its neighbour"
    ),
    Share("upper case", 8_000, "none", "what capital letters a word has, which its tokens do not tell"),
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
    Share("everyday things", 27_000, "full", "770 hand-written definitions about 35 times: what newcomers ask"),
    Share("encyclopedia", 17_000, "full", "5,700 vital topics three times"),
    Share("more encyclopedia", 6_000, "full", "rarer topics once, for breadth"),
    Share("people", 4_400, "full", "126 famous people 35 times"),
    Share("simple facts", 10_500, "full", "350 hand-written answers 30 times"),
    Share("trivia", 2_500, "case", "the form of quiz questions; its facts are too many to learn"),
    Share("own stories", 14_000, "full", "any hero, held to the end"),
    Share("corpus stories", 2_000, "full", "the variety of real stories; with more, the small model loses its hero"),
    Share("smalltalk", 7_500, "full", "greetings, thanks, feelings"),
    Share("small talk chains", 3_000, "full", "the same in a row"),
    Share("identity", 6_000, "full", "who it is must be right at every temperature"),
    Share("refusals", 3_200, "full", "what it cannot know or do, and nonsense"),
    Share("fun", 3_000, "full", "jokes, riddles, poems"),
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
    Share("system prompts", 14_000, "none", "instructions obeyed in simple ways"),
)
