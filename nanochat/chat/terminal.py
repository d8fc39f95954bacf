"""Chat in a terminal: one conversation, a few commands, and the events drawn as plain text.

Where the lines come from and where the text goes are arguments, so a test can play the person.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, TextIO

from nanochat.chat.conversation import Conversation, Message
from nanochat.chat.engine import Engine
from nanochat.chat.events import Done, Event, Started, Token, ToolResult
from nanochat.chat.sampling import LIMITS, SamplingSettings
from nanochat.errors import NanoChatError

HELP = """\
/temperature 0.6         how freely words are chosen; 0 always takes the most probable one
/topk 50                 choose among so many words, 0 for all
/topp 0.9                choose among the words that together have this probability, 1 for all
/repetition_penalty 1.1  makes words less probable that were there already, 1 is off
/max_tokens 256          the longest answer
/seed 7                  the same answers again; /seed alone lets chance decide
/system TEXT             what comes before the first message; /system alone takes it away
/clear                   start over
/help and /quit          Ctrl-C stops an answer, Ctrl-D leaves
"""
# What is typed after the slash, with or without underscores as on the page, and the setting that it changes.
SETTINGS = MappingProxyType({name.replace("_", ""): name for name in LIMITS})


@dataclass(frozen=True, slots=True)
class Chat:
    """Where a chat stands: what was said, what stands before it, and how the next answer is drawn."""

    settings: SamplingSettings
    system_prompt: str = ""
    turns: tuple[Message, ...] = ()


def converse(engine: Engine, chat: Chat, ask: Callable[[], str], out: TextIO) -> None:
    """Talk until the person leaves: `ask` returns what was typed, or raises EOFError or KeyboardInterrupt."""
    out.write("Type a message, or /help.\n")
    while True:
        try:
            line = ask().strip()
        except (EOFError, KeyboardInterrupt):
            out.write("\n")
            return
        if line in ("/quit", "/exit"):
            return
        try:
            if line.startswith("/"):
                chat = _obey(chat, line, out)
            elif line:
                chat = _answer(engine, chat, line, out)
        except NanoChatError as error:
            out.write(f"{error}\n")


def _obey(chat: Chat, line: str, out: TextIO) -> Chat:
    """Carry out a command and return the chat after it. Raises NanoChatError for a value that is not allowed."""
    command, _, value = line[1:].partition(" ")
    value = value.strip()
    if command == "clear":
        out.write("Started over.\n")
        return replace(chat, turns=())
    if command == "system":
        # The door says now, rather than with the next message, whether it can be taken.
        Conversation((Message("user", "Hello"),)).with_system(value)
        out.write("The system prompt is set.\n" if value else "There is no system prompt.\n")
        return replace(chat, system_prompt=value)
    if (name := SETTINGS.get(command.replace("_", ""))) is not None:
        settings = replace(chat.settings, **{name: _number(value)})
        out.write(f"{name} is {getattr(settings, name)}.\n".replace("None", "left to chance"))
        return replace(chat, settings=settings)
    out.write(HELP if command == "help" else f"There is no command /{command[:20]}.\n{HELP}")
    return chat


def _number(text: str) -> Any:
    """Read a number as far as it is one; what else was typed is refused by the settings, which know the limits."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text or None


def _answer(engine: Engine, chat: Chat, line: str, out: TextIO) -> Chat:
    """Write the answer to a message and return the chat with both in it. Raises NanoChatError."""
    turns = (*chat.turns, Message("user", line))
    conversation = Conversation(turns).with_system(chat.system_prompt)
    ids: list[int] = []
    with closing(engine.stream(conversation, chat.settings)) as events:
        try:
            for event in events:
                if isinstance(event, Done):
                    out.write(_closing_note(event))
                    return replace(chat, turns=(*turns, event.message))
                if isinstance(event, Token):
                    ids.append(event.id)
                out.write(_text(event))
                out.flush()
        except KeyboardInterrupt:
            out.write(" [stopped]\n")
    # What was written until then stays said, by its ids; a question that got no answer at all is taken back.
    return replace(chat, turns=(*turns, Message("assistant", "", tuple(ids)))) if ids else chat


def _text(event: Event) -> str:
    if isinstance(event, Token):
        return event.text
    if isinstance(event, ToolResult):
        return f"[{event.expression} = {event.output}]" if event.output is not None else f"[{event.expression}: ?]"
    if isinstance(event, Started) and event.dropped_turns:
        return f"[the {event.dropped_turns} oldest turns no longer fit and are left out]\n"
    return ""


def _closing_note(done: Done) -> str:
    if done.finish_reason == "stop":
        return "\n"
    cause = "the longest answer, see /max_tokens" if done.finish_reason == "length" else "the time for an answer"
    return f" [cut: {done.completion_tokens} tokens, {cause}]\n"
