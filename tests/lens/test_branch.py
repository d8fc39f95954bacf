"""A branch is the answer of a prompt that ends in the other token."""

from __future__ import annotations

import pytest
import torch

from nanochat import NanoChatForCausalLM
from nanochat.chat.answer import Answer
from nanochat.chat.conversation import Conversation
from nanochat.chat.sampling import SamplingSettings
from nanochat.chat.template import ChatTemplate
from nanochat.errors import LensError
from nanochat.lens.branch import branched
from tests.chat.engines import asked, done, engine_of

SETTINGS = SamplingSettings(temperature=0, max_tokens=12, seed=3)


@pytest.fixture(scope="module")
def answered(tiny_model: NanoChatForCausalLM, tiny_template: ChatTemplate) -> Conversation:
    conversation = asked("Why is the sky blue?")
    return conversation.append(done(engine_of(tiny_model, tiny_template).stream(conversation, SETTINGS)).message)


def test_a_branch_equals_a_fresh_run_whose_prompt_ends_in_that_candidate(
    tiny_model: NanoChatForCausalLM, tiny_template: ChatTemplate, answered: Conversation
) -> None:
    other = tiny_template.encode(" fox")[0]
    branch = branched(answered, tiny_template, 1, 3, other)
    prompt = tiny_template.prompt(Conversation(answered.messages[:1]))
    begun = [*(answered.messages[1].ids or ())[:3], other]
    assert tiny_template.prompt(branch) == [*prompt, *begun]
    # The engine that gave the first answer, and so holds its keys and values, goes on from the branch.
    engine = engine_of(tiny_model, tiny_template, slots=1)
    done(engine.stream(Conversation(answered.messages[:1]), SETTINGS))
    continued = done(engine.stream(branch, SETTINGS)).message.ids or ()
    ids = [*prompt, *begun]
    ends = (tiny_template.control.assistant_end, tiny_template.control.bos)
    with torch.no_grad():
        for _ in range(SETTINGS.max_tokens):
            following = int(tiny_model(torch.tensor([ids])).logits[0, -1].argmax())
            if following in ends:
                break
            ids.append(following)
    assert list(continued) == ids[len(prompt) :]


def test_messages_after_the_branch_are_left_behind(tiny_template: ChatTemplate, answered: Conversation) -> None:
    longer = asked("Why?", "Because it is.", "Is it?", "It is.")
    branch = branched(longer, tiny_template, 1, 0, tiny_template.encode(" fox")[0])
    assert [message.role for message in branch.messages] == ["user", "assistant"]
    assert branch.messages[1].text == tiny_template.token_name(tiny_template.encode(" fox")[0])


def test_an_answer_known_by_its_text_alone_can_be_branched(tiny_template: ChatTemplate) -> None:
    ids = tiny_template.encode("The fox ran")
    branch = branched(asked("Who?", "The fox ran"), tiny_template, 1, len(ids) - 1, ids[-1])
    assert branch.messages[1].ids == tuple(ids)


@pytest.mark.parametrize(
    ("message", "place", "token_id"),
    [(0, 0, 5), (2, 0, 5), (-1, 0, 5), (1, 99, 5), (1, -1, 5), (1, 0, 384), (1, 0, -1)],
)
def test_what_does_not_exist_is_refused(
    tiny_template: ChatTemplate, answered: Conversation, message: int, place: int, token_id: int
) -> None:
    with pytest.raises(LensError):
        branched(answered, tiny_template, message, place, token_id)


def test_an_end_and_the_calculators_own_tokens_are_no_branches(tiny_template: ChatTemplate) -> None:
    control, encode = tiny_template.control, tiny_template.encode
    call = [control.python_start, *encode("1+1"), control.python_end]
    result = [control.output_start, *encode("2"), control.output_end]
    ids = [*call, *result, *encode(" is it")]
    conversation = asked("What is 1+1?").append(Answer(tiny_template, ids).message())
    fox = encode("fox")[0]
    with pytest.raises(LensError, match="ends the answer"):
        branched(conversation, tiny_template, 1, 0, control.assistant_end)
    forced = range(len(call), len(call) + len(result))
    for place in range(len(ids)):
        if place in forced:
            with pytest.raises(LensError, match="calculator"):
                branched(conversation, tiny_template, 1, place, fox)
        else:
            assert branched(conversation, tiny_template, 1, place, fox).messages[1].ids == (*ids[:place], fox)
