"""Chat in a pipe: each line of JSON is a conversation of its own, and its answer goes out as it is made.

    {"role": "user", "content": "Hello"}
    [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What is RoPE?"}]

A line that cannot be answered is told on the error stream with its number, and the next line is read.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from typing import TextIO

from nanochat.chat.conversation import Conversation
from nanochat.chat.engine import Engine
from nanochat.chat.events import Done, Token
from nanochat.chat.sampling import SamplingSettings
from nanochat.errors import InvalidMessageError, NanoChatError

EXAMPLE = '{"role": "user", "content": "Hello"}'


@dataclass(frozen=True, slots=True)
class Pipe:
    """How lines are answered, and where the answers go; with `as_json` each is one line of JSON."""

    engine: Engine
    settings: SamplingSettings
    out: TextIO
    err: TextIO
    system_prompt: str = ""
    as_json: bool = False


def answer_lines(pipe: Pipe, lines: Iterable[str]) -> bool:
    """Answer every line that is not blank; say whether there was any and all could be answered."""
    answered = failed = 0
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            _answer(pipe, read_line(line, pipe.system_prompt))
            answered += 1
        except NanoChatError as error:
            pipe.err.write(f"Line {number}: {error}\n")
            failed += 1
    if not answered and not failed:
        pipe.err.write(f"There is nothing to answer: give lines such as {EXAMPLE}\n")
    return answered > 0 and not failed


def read_line(line: str, system_prompt: str = "") -> Conversation:
    """Read a message or a list of messages; a system message in it wins. Raises InvalidMessageError."""
    try:
        messages = json.loads(line)
    # Deep nesting exhausts the parser's stack.
    except (ValueError, RecursionError) as error:
        raise InvalidMessageError(f"This is not JSON. A line looks like {EXAMPLE}") from error
    conversation = Conversation.from_messages([messages] if isinstance(messages, dict) else messages)
    has_system = conversation.messages[0].role == "system"
    return conversation if has_system else conversation.with_system(system_prompt)


def _answer(pipe: Pipe, conversation: Conversation) -> None:
    """Write the answer; one that breaks off still ends its line, so that the next answer begins on its own."""
    begun = False
    try:
        with closing(pipe.engine.stream(conversation, pipe.settings)) as events:
            for event in events:
                if isinstance(event, Token) and event.text and not pipe.as_json:
                    begun = True
                    pipe.out.write(event.text)
                    pipe.out.flush()
                elif isinstance(event, Done):
                    begun = True
                    if pipe.as_json:
                        reply = {"role": "assistant", "content": event.message.text}
                        pipe.out.write(json.dumps(reply, ensure_ascii=False))
    finally:
        if begun:
            pipe.out.write("\n")
            pipe.out.flush()
