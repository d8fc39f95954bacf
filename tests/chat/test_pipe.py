from __future__ import annotations

import io
import json

import pytest

from nanochat import NanoChatForCausalLM
from nanochat.chat.engine import EngineLimits, LocalEngine
from nanochat.chat.events import Done
from nanochat.chat.pipe import Pipe, answer_lines, read_line
from nanochat.chat.sampling import SamplingSettings
from nanochat.chat.template import ChatTemplate
from nanochat.errors import InvalidMessageError

FAST = SamplingSettings(temperature=0, max_tokens=6)
HELLO = '{"role": "user", "content": "Hello"}'
LIST = '[{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"}]'


@pytest.fixture
def pipe(tiny_model: NanoChatForCausalLM, tiny_template: ChatTemplate) -> Pipe:
    engine = LocalEngine(tiny_model, tiny_template, EngineLimits(slots=1))
    return Pipe(engine, FAST, io.StringIO(), io.StringIO())


def shown(pipe: Pipe) -> str:
    return pipe.out.getvalue()  # type: ignore[attr-defined]


def told(pipe: Pipe) -> str:
    return pipe.err.getvalue()  # type: ignore[attr-defined]


def reply(pipe: Pipe, line: str) -> str:
    *_, done = pipe.engine.stream(read_line(line), FAST)
    assert isinstance(done, Done)
    return done.message.text


def test_each_line_is_answered_by_itself_and_in_order(pipe: Pipe) -> None:
    assert answer_lines(pipe, [HELLO, "\n", LIST, HELLO])
    assert shown(pipe) == "".join(reply(pipe, line) + "\n" for line in (HELLO, LIST, HELLO))
    assert told(pipe) == ""


def test_answers_can_be_lines_of_json(pipe: Pipe) -> None:
    wanted = Pipe(pipe.engine, FAST, pipe.out, pipe.err, as_json=True)
    assert answer_lines(wanted, [HELLO, LIST])
    answers = [json.loads(line) for line in shown(pipe).splitlines()]
    assert answers == [{"role": "assistant", "content": reply(pipe, line)} for line in (HELLO, LIST)]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "This is not JSON"),
        ("Hello", "This is not JSON"),
        ("[" * 100_000, "This is not JSON"),
        ("7", "Messages must be a list"),
        ("[]", "at least one user message"),
        ("[7]", "Message 1 must be an object"),
        ('{"role": "admin", "content": "x"}', "role of message 1"),
        ('{"role": "user"}', "content of message 1 must be text"),
        ('{"role": "user", "content": ""}', "Message 1 is empty"),
        ('{"role": "system", "content": "x"}', "at least one user message"),
        ('{"role": "user", "content": "\\ud800"}', "half a character"),
        (json.dumps({"role": "user", "content": "x" * 8001}), "at most 8,000 characters"),
        (json.dumps([{"role": "user", "content": "x"}] * 501), "at most 500 messages"),
    ],
)
def test_a_bad_line_is_told_with_its_number_and_the_next_one_answered(pipe: Pipe, line: str, reason: str) -> None:
    assert not answer_lines(pipe, [HELLO, line, HELLO])
    assert told(pipe).startswith("Line 2: ")
    assert reason in told(pipe)
    assert told(pipe).count("\n") == 1
    assert shown(pipe) == 2 * (reply(pipe, HELLO) + "\n")


@pytest.mark.parametrize("lines", [[], ["\n", "  "]])
def test_nothing_to_answer_is_told(pipe: Pipe, lines: list[str]) -> None:
    assert not answer_lines(pipe, lines)
    assert told(pipe).startswith("There is nothing to answer: give lines such as")


def test_a_system_prompt_is_put_before_messages_that_bring_none() -> None:
    assert read_line(HELLO, "Be brief.").messages[0].text == "Be brief."
    own = '[{"role": "system", "content": "Be long."}, {"role": "user", "content": "Hi"}]'
    assert read_line(own, "Be brief.").messages[0].text == "Be long."
    with pytest.raises(InvalidMessageError, match="8,000 characters"):
        read_line(HELLO, "x" * 8001)
