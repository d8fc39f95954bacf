from __future__ import annotations

import io
from collections.abc import Generator, Iterator
from typing import Any

import pytest

from nanochat import NanoChatForCausalLM
from nanochat.chat.conversation import Conversation
from nanochat.chat.engine import Engine, EngineLimits, LocalEngine
from nanochat.chat.events import Event, Token
from nanochat.chat.sampling import LIMITS, SamplingSettings
from nanochat.chat.template import ChatTemplate
from nanochat.chat.terminal import Chat, converse

FAST = SamplingSettings(temperature=0, max_tokens=6)


class Listening(Engine):
    """The real engine; it notes what it is asked, and can be interrupted as Ctrl-C does."""

    def __init__(self, engine: LocalEngine) -> None:
        self.engine = engine
        self.asked: list[tuple[Conversation, SamplingSettings]] = []
        self.interrupt_after: int | None = None

    def stream(
        self, conversation: Conversation, settings: SamplingSettings, **options: Any
    ) -> Generator[Event, None, None]:
        self.asked.append((conversation, settings))
        written = 0
        for event in self.engine.stream(conversation, settings, **options):
            yield event
            written += isinstance(event, Token)
            if written == self.interrupt_after:
                raise KeyboardInterrupt


@pytest.fixture
def engine(tiny_model: NanoChatForCausalLM, tiny_template: ChatTemplate) -> Listening:
    return Listening(LocalEngine(tiny_model, tiny_template, EngineLimits(slots=1)))


def play(engine: Listening, *lines: str, chat: Chat | None = None) -> str:
    """Type the lines, leave with Ctrl-D, and return what the terminal shows."""
    typed: Iterator[str] = iter(lines)

    def ask() -> str:
        try:
            return next(typed)
        except StopIteration:
            raise EOFError from None

    out = io.StringIO()
    converse(engine, chat or Chat(FAST), ask, out)
    return out.getvalue()


def test_every_answer_is_remembered_by_its_ids(engine: Listening, tiny_template: ChatTemplate) -> None:
    play(engine, "Hello", "And then?", "")
    (first, _), (second, _) = engine.asked
    assert [message.role for message in second.messages] == ["user", "assistant", "user"]
    answer = second.messages[1].ids
    assert answer
    read = tiny_template.prompt(first)
    assert tiny_template.prompt(second)[: len(read) + len(answer)] == [*read, *answer]


def test_what_is_shown_is_what_the_engine_streamed(engine: Listening) -> None:
    shown = play(engine, "Hello")
    events = engine.engine.stream(*engine.asked[0])
    assert "".join(event.text for event in events if isinstance(event, Token)) in shown


def test_commands_change_how_the_next_answer_is_drawn(engine: Listening) -> None:
    shown = play(engine, "/temperature 0.9", "/topk 7", "/max_tokens 3", "/seed 5", "Hi", "/seed", "Hi")
    assert engine.asked[0][1] == SamplingSettings(temperature=0.9, top_k=7, max_tokens=3, seed=5)
    assert engine.asked[1][1].seed is None
    for line in ("temperature is 0.9.", "top_k is 7.", "max_tokens is 3.", "seed is 5.", "seed is left to chance."):
        assert line in shown


@pytest.mark.parametrize("name", LIMITS)
def test_every_setting_is_a_command_by_the_name_it_has_everywhere(engine: Listening, name: str) -> None:
    lines = [f"/{spelled} 1" for spelled in (name, name.replace("_", ""))]
    assert play(engine, *lines).count(f"{name} is 1.") == 2


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("/temperature 3", "temperature must be a number from 0 to 2."),
        ("/temperature warm", "temperature must be a number from 0 to 2."),
        ("/temperature nan", "temperature must be a number from 0 to 2."),
        ("/temperature", "temperature must be a number from 0 to 2."),
        ("/topk 2.5", "top_k must be a whole number from 0 to 200."),
        ("/max_tokens 0", "max_tokens must be a whole number from 1 to 4096."),
        ("/seed -1", "seed must be a whole number from 0"),
        ("/system " + "x" * 8001, "8,000 characters"),
        ("x" * 8001, "8,000 characters"),
        ("/nonsense", "There is no command /nonsense."),
    ],
)
def test_what_cannot_be_taken_is_told_and_changes_nothing(engine: Listening, line: str, told: str) -> None:
    assert told in play(engine, line, "Hi")
    assert engine.asked == [(Conversation.from_messages([{"role": "user", "content": "Hi"}]), FAST)]


def test_the_system_prompt_comes_and_goes_and_a_cleared_chat_starts_over(engine: Listening) -> None:
    play(engine, "/system Be brief.", "One", "/system", "Two", "/clear", "Three")
    roles = [[message.role for message in conversation.messages] for conversation, _ in engine.asked]
    assert roles == [["system", "user"], ["user", "assistant", "user"], ["user"]]


def test_an_interrupted_answer_stays_said_and_the_chat_goes_on(engine: Listening) -> None:
    engine.interrupt_after = 2
    assert "[stopped]" in play(engine, "Hello", "Go on")
    assert len(engine.asked[1][0].messages[1].ids or ()) == 2
    assert engine.engine.live_requests == 0


def test_an_answer_interrupted_before_its_first_word_is_taken_back(engine: Listening) -> None:
    engine.interrupt_after = 0
    play(engine, "Hello", "Again")
    assert len(engine.asked[1][0].messages) == 1


def test_an_answer_that_was_cut_says_so(engine: Listening) -> None:
    assert "[cut: 6 tokens, the longest answer, see /max_tokens]" in play(engine, "Hello")


def test_forgotten_turns_are_told(engine: Listening) -> None:
    shown = play(engine, *["Tell me a story about a fox in the forest."] * 12)
    assert "no longer fit and are left out]" in shown


@pytest.mark.parametrize("line", ["/quit", "/exit"])
def test_quit_leaves(engine: Listening, line: str) -> None:
    play(engine, line, "never asked")
    assert engine.asked == []


def test_help_names_every_command(engine: Listening) -> None:
    shown = play(engine, "/help")
    settings = ("/temperature", "/topk", "/topp", "/repetition_penalty", "/max_tokens", "/seed")
    for command in (*settings, "/system", "/clear", "/help", "/quit"):
        assert command in shown
