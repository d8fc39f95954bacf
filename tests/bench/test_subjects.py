"""The models that are measured: never ending, one memory for all who share it, and the rival's logits the same."""

from __future__ import annotations

import pytest
import torch
import transformers

from nanochat.bench.questions import question
from nanochat.bench.subjects import PRECISIONS, SHAPES, Shape, make_subject, rival_model, served, silence
from nanochat.errors import CheckpointError


@pytest.mark.parametrize(("name", "parameters"), [("d20", 560_988_160), ("d32", 1_879_048_192)])
def test_the_shapes_are_those_that_people_train(name: str, parameters: int) -> None:
    shape = SHAPES[name]
    blocks = shape.layers * 12 * shape.hidden_size**2
    assert blocks + 2 * shape.vocabulary * shape.hidden_size == parameters


def test_no_answer_ends_and_every_token_has_a_text(random_shape: Shape) -> None:
    subject = make_subject(random_shape, "cpu")
    ids = torch.tensor([subject.template.prompt(question(subject.template, 1))])
    with torch.inference_mode():
        logits = subject.model(ids).logits[0]
    silent = [*sorted(subject.template.control.all), *range(subject.template.vocab_size, random_shape.vocabulary)]
    spoken = [place for place in range(random_shape.vocabulary) if place not in silent]
    assert (logits[:, silent].amax(dim=1) < logits[:, spoken].amax(dim=1)).all()


def test_no_answer_ends_where_a_model_has_learned_to_give_small_logits_to_all(tiny_shape: Shape) -> None:
    subject = make_subject(tiny_shape, "cpu")
    head = subject.model.lm_head.weight
    ids = torch.tensor([subject.template.prompt(question(subject.template, 1))])
    with torch.no_grad():
        # What all rows have in common moves all logits alike, and the best may well be below zero.
        hidden = subject.model.model(ids).last_hidden_state[0, -1]
        head -= hidden * 9 / hidden.square().sum()
        silence(subject.model, subject.template)
        logits = subject.model(ids).logits[0, -1]
    assert logits.max() < 0
    assert int(logits.argmax()) not in subject.template.control.all


def test_the_same_shape_is_filled_with_the_same_weights(random_shape: Shape) -> None:
    one, other = (make_subject(random_shape, "cpu").model for _ in range(2))
    assert one.dtype == torch.bfloat16
    assert all(torch.equal(*pair) for pair in zip(one.parameters(), other.parameters(), strict=True))


def test_the_rival_reads_the_same_memory_and_says_the_same(tiny_shape: Shape) -> None:
    subject = make_subject(tiny_shape, "cpu")
    rival = rival_model(subject, torch.float32)
    assert isinstance(rival, transformers.NanoChatForCausalLM)
    assert [id(weight) for weight in rival.parameters()] == [id(weight) for weight in subject.model.parameters()]
    ids = torch.tensor([subject.template.prompt(question(subject.template, 1))])
    with torch.inference_mode():
        torch.testing.assert_close(rival(ids).logits, subject.model(ids).logits, rtol=0, atol=1e-5)


def test_a_rival_in_another_type_leaves_ours_as_it_is(tiny_shape: Shape) -> None:
    subject = make_subject(tiny_shape, "cpu")
    assert rival_model(subject, torch.bfloat16).dtype == torch.bfloat16
    assert {weight.dtype for weight in subject.model.parameters()} == {torch.float32}


@pytest.mark.parametrize("precision", ["bfloat16", *PRECISIONS])
def test_a_served_twin_leaves_the_first_as_it_is(random_shape: Shape, precision: str) -> None:
    subject = make_subject(random_shape, "cpu")
    before = [weight.clone() for weight in subject.model.parameters()]
    twin = served(subject, precision)
    assert twin.name == f"random {precision}"
    assert twin.model.model.embed_tokens.weight is subject.model.model.embed_tokens.weight
    if precision in PRECISIONS:
        assert sum(weight.numel() for weight in twin.model.parameters()) < sum(weight.numel() for weight in before)
    assert all(torch.equal(*pair) for pair in zip(subject.model.parameters(), before, strict=True))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_a_sentence_says_so(random_shape: Shape) -> None:
    with pytest.raises(CheckpointError, match="This machine has no device cuda"):
        make_subject(random_shape, "cuda")
