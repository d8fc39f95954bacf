"""How good the model is, as a table: held-out questions answered by the engine that the page uses.

Answers are greedy, so the table is the same every time; the loop test samples, since that is how people chat.
Validation text is scored in bits a byte, which does not depend on the tokenizer: nats of all tokens, divided by
ln 2 and by the bytes of the text.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

import torch
from torch.nn import functional as F
from tqdm import tqdm

from nanochat.chat.conversation import Conversation
from nanochat.chat.engine import Engine
from nanochat.chat.events import Done
from nanochat.chat.sampling import SamplingSettings
from nanochat.chat.template import ChatTemplate
from nanochat.model.modeling_nanochat import NanoChatForCausalLM
from nanochat.recipe.checks import loops
from nanochat.recipe.held_out import Question

AT_ONCE = 8
LONGEST_ANSWER_TOKENS = 320
LOOP_ANSWERS = 200
LOOP_TEMPERATURE = 0.8
GREEDY = SamplingSettings(temperature=0.0, max_tokens=LONGEST_ANSWER_TOKENS, seed=0)


@dataclass(frozen=True, slots=True)
class Answered:
    """A held-out question, what the model said, and its points between 0 and 1."""

    question: Question
    answer: str
    points: float


@dataclass(frozen=True, slots=True)
class Score:
    """One row of the table: points out of so many questions."""

    subject: str
    points: float
    questions: int

    @property
    def share(self) -> float:
        return self.points / self.questions


def answer_all(
    engine: Engine, conversations: Sequence[Conversation], settings: Sequence[SamplingSettings], label: str = "answers"
) -> list[str]:
    """Return the visible text of each answer, in order; a few are decoded at a time, in one batch."""
    answers = [""] * len(conversations)
    waiting = iter(enumerate(zip(conversations, settings, strict=True)))
    with tqdm(total=len(conversations), desc=label, unit="answer") as bar:
        live = [(place, engine.stream(*asked, session=str(place))) for place, asked in islice(waiting, AT_ONCE)]
        while live:
            for place, stream in list(live):
                event = next(stream)
                if not isinstance(event, Done):
                    continue
                answers[place] = event.message.text.strip()
                stream.close()
                live.remove((place, stream))
                bar.update()
                live += [(new, engine.stream(*asked, session=str(new))) for new, asked in islice(waiting, 1)]
    return answers


def score_questions(engine: Engine, questions: Sequence[Question]) -> list[Answered]:
    """Ask every held-out question and score its answer."""
    conversations = [Conversation.from_messages(list(question.messages)) for question in questions]
    answers = answer_all(engine, conversations, [GREEDY] * len(questions), "held-out questions")
    return [
        Answered(question, answer, question.score(answer)) for question, answer in zip(questions, answers, strict=True)
    ]


def count_loops(engine: Engine, questions: Sequence[Question]) -> Score:
    """Return how many of 200 sampled answers repeat no phrase again and again."""
    step = max(1, len(questions) // LOOP_ANSWERS)
    asked = list(questions[::step])[:LOOP_ANSWERS]
    settings = [
        SamplingSettings(temperature=LOOP_TEMPERATURE, max_tokens=LONGEST_ANSWER_TOKENS, seed=seed)
        for seed in range(len(asked))
    ]
    conversations = [Conversation.from_messages(list(question.messages)) for question in asked]
    answers = answer_all(engine, conversations, settings, "loops")
    return Score("no loop at temperature 0.8", float(sum(not loops(answer) for answer in answers)), len(answers))


def table_of(answered: Iterable[Answered]) -> list[Score]:
    """Add up the points of each subject, in the order of their first question."""
    rows: dict[str, list[float]] = {}
    for each in answered:
        rows.setdefault(each.question.subject, []).append(each.points)
    return [Score(subject, sum(points), len(points)) for subject, points in rows.items()]


@torch.inference_mode()
def bits_per_byte(model: NanoChatForCausalLM, template: ChatTemplate, texts: Sequence[str]) -> float:
    """Return how many bits the model needs for a byte of `texts`, each read from its start up to the context's end.

    Raises ValueError where there is no text.
    """
    nats, size_bytes = 0.0, 0
    longest = model.config.max_position_embeddings
    for text in texts:
        ids = [template.control.bos, *template.encode(text)][:longest]
        row = torch.tensor([ids], device=model.device)
        logits = model(row).logits[0, :-1].float()
        nats += F.cross_entropy(logits, row[0, 1:], reduction="sum").item()
        size_bytes += sum(len(template.token_bytes(token)) for token in ids[1:])
    if not size_bytes:
        raise ValueError("There is no text to score.")
    return nats / math.log(2) / size_bytes


def markdown_table(scores: Sequence[Score]) -> str:
    """Write the scores as the model card shows them."""
    rows = [f"| {score.subject} | {score.points:g} / {score.questions} | {score.share:.0%} |" for score in scores]
    return "\n".join(["| held-out subject | points | share |", "|---|---|---|", *rows])
