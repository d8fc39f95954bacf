"""Scores are what they say: the same answers as one by one, points added up, bits a byte by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from nanochat import NanoChatForCausalLM
from nanochat.chat.conversation import Conversation
from nanochat.chat.engine import EngineLimits, LocalEngine
from nanochat.chat.sampling import SamplingSettings
from nanochat.chat.template import ChatTemplate
from nanochat.recipe.held_out import Question
from nanochat.recipe.scoring import (
    Answered,
    Score,
    answer_all,
    bits_per_byte,
    markdown_table,
    score_questions,
    table_of,
)


def test_answers_come_in_order_and_as_if_asked_alone(
    tiny_model: NanoChatForCausalLM, tiny_template: ChatTemplate
) -> None:
    asked = [Conversation.from_messages([{"role": "user", "content": f"number {n}"}]) for n in range(11)]
    settings = [SamplingSettings(temperature=0.9, max_tokens=6, seed=n) for n in range(11)]
    engine = LocalEngine(tiny_model, tiny_template, EngineLimits(slots=4))
    together = answer_all(engine, asked, settings)
    alone = [answer_all(engine, [each], [setting])[0] for each, setting in zip(asked, settings, strict=True)]
    assert together == alone
    assert len(set(together)) > 1


def test_every_question_is_scored_by_its_own_check(
    tiny_model: NanoChatForCausalLM, tiny_template: ChatTemplate
) -> None:
    questions = [
        Question("length", ({"role": "user", "content": "a b c d"[: 2 * n + 1]},), lambda answer, n=n: float(n), "")
        for n in range(4)
    ]
    engine = LocalEngine(tiny_model, tiny_template, EngineLimits(context=64))
    assert [each.points for each in score_questions(engine, questions)] == [0.0, 1.0, 2.0, 3.0]


def test_points_are_added_up_by_subject() -> None:
    def told(subject: str, points: float) -> Answered:
        return Answered(Question(subject, (), lambda answer: 0.0, ""), "", points)

    scores = table_of([told("a", 1.0), told("b", 0.0), told("a", 0.5)])
    assert scores == [Score("a", 1.5, 2), Score("b", 0.0, 1)]
    assert "| a | 1.5 / 2 | 75% |" in markdown_table(scores)


def test_bits_a_byte_are_those_of_the_losses(tiny_model: NanoChatForCausalLM, tiny_template: ChatTemplate) -> None:
    text = "The fox ran through the forest."
    ids = torch.tensor([[tiny_template.control.bos, *tiny_template.encode(text)]])
    with torch.inference_mode():
        logits = tiny_model(ids).logits[0, :-1]
    nats = F.cross_entropy(logits, ids[0, 1:], reduction="sum").item()
    measured = bits_per_byte(tiny_model, tiny_template, [text])
    assert measured == pytest.approx(nats / math.log(2) / len(text.encode()), rel=1e-5)


def test_no_text_is_refused(tiny_model: NanoChatForCausalLM, tiny_template: ChatTemplate) -> None:
    with pytest.raises(ValueError, match="no text to score"):
        bits_per_byte(tiny_model, tiny_template, [])
