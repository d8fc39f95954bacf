"""The mixture: deterministic, valid, honest about the calculator, and complete."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

from nanochat.chat.conversation import Conversation
from nanochat.chat.tools import calculate
from nanochat.errors import RecipeError
from nanochat.recipe.conversations import mixture
from nanochat.recipe.conversations.dialogue import Dialogue, visible
from nanochat.recipe.conversations.shares import SHARES
from tests.recipe.small_corpus import write_small_corpus

Epoch = list[tuple[str, Dialogue]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module")
def epoch(folder: Path) -> Epoch:
    return mixture.labelled_conversations(folder, seed=1, scale=0.03)


def test_the_same_seed_makes_the_same_epoch(folder: Path, epoch: Epoch) -> None:
    assert mixture.conversations(folder, 1, scale=0.03) == [made for _, made in epoch]
    assert mixture.conversations(folder, 2, scale=0.03) != [made for _, made in epoch]


def test_every_subject_of_the_table_is_made_as_often_as_it_says(epoch: Epoch) -> None:
    made = Counter(subject for subject, _ in epoch)
    wanted = {share.subject: max(1, round(share.count * 0.03)) for share in SHARES}
    del wanted["more encyclopedia"]  # the small corpus has only vital topics
    assert wanted == made


def test_every_share_has_a_reason_and_each_subject_one_share() -> None:
    assert len({share.subject for share in SHARES}) == len(SHARES)
    assert all(share.reason for share in SHARES)


def test_every_dialogue_passes_the_door_of_the_chat(epoch: Epoch) -> None:
    for _, made in epoch:
        conversation = Conversation.from_messages(made["messages"])
        assert conversation.messages[-1].role == "assistant"
        assert len(conversation.messages) >= 2


def test_every_calculator_output_is_the_calculator_s(epoch: Epoch) -> None:
    calls = 0
    for _, made in epoch:
        for turn in made["messages"]:
            if isinstance(turn["content"], str):
                continue
            parts = turn["content"]
            for part, following in pairwise(parts):
                if part["type"] == "python":
                    calls += 1
                    assert following == {"type": "python_output", "text": calculate(part["text"])}
    assert calls > 900


def test_no_slot_of_a_template_is_left_unfilled(epoch: Epoch) -> None:
    for subject, made in epoch:
        for turn in made["messages"]:
            text = visible(turn["content"])
            assert text.strip(), subject
            assert "{" not in text, text
            assert "}" not in text, text


def test_answers_end_as_sentences_do(epoch: Epoch) -> None:
    for subject, made in epoch:
        for turn in made["messages"]:
            if turn["role"] == "assistant":
                assert visible(turn["content"]).rstrip().endswith((".", "!", "?", '"')), (subject, turn)


def test_no_dialogue_outgrows_the_context(epoch: Epoch) -> None:
    assert max(mixture.characters(made) for _, made in epoch) < mixture.LONGEST_DIALOGUE_CHARACTERS + 200


def test_counts_by_subject_add_up(epoch: Epoch) -> None:
    counts = mixture.counts_by_subject(epoch)
    assert sum(count for _, count, _ in counts) == len(epoch)
    assert sum(size for _, _, size in counts) == sum(mixture.characters(made) for _, made in epoch)


def test_a_missing_corpus_is_said_in_plain_words(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="The corpus has no file"):
        mixture.conversations(tmp_path, 1)
