"""Commands typed in the message box: they move the settings and never become a part of the chat.

A command is a slash and a word at the very beginning: `/temperature 0.8`. Whatever else begins with a slash is a
message, such as `/home/x is a folder`; and a space before the slash makes a message of anything. A word that is no
command is refused rather than sent, since it is most likely a slip of the finger.

Source of the commands: karpathy/nanochat, nanochat/ui.html (/temperature, /topk, /clear, /help).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, cast

from nanochat.chat.conversation import Conversation, Message, Role
from nanochat.chat.sampling import LIMITS, SamplingSettings
from nanochat.errors import InvalidMessageError, InvalidSettingError

COMMANDS: Mapping[str, str] = MappingProxyType(
    {
        "/temperature 0.8": "0 always takes the most probable token",
        "/topk 20": "draw from so many tokens; 0 is no limit",
        "/topp 0.9": "draw from the tokens that together have this probability",
        "/repetition_penalty 1.1": "1 is off",
        "/max_tokens 500": "the longest answer",
        "/seed 42": "the same answer again; /seed random draws one for each answer",
        "/system You are a pirate.": "the system prompt; alone it takes it away",
        "/prefill Ahoy": "each answer begins with these words; alone it takes them away",
        "/clear": "a new chat; the one before stays among the saved ones",
        "/help": "this list",
    }
)
"""Each command by an example, with its meaning."""

KEYS: Mapping[str, str] = MappingProxyType(
    {
        "Enter": "send",
        "Shift+Enter": "a new line",
        "Esc": "stop the answer",
        "Ctrl+Shift+O": "a new chat (⌘+Shift+O on a Mac)",
        "↑": "in the empty box: edit your last message",
        "Shift+Esc": "to the message box, from anywhere",
    }
)

ESCAPE = "With a space before the slash it is sent as a message."

_COMMAND = re.compile(r"/(?P<word>[a-z_-]+)(?:\s+(?P<rest>.*))?", re.DOTALL | re.IGNORECASE)
_LONGEST_QUOTE = 60


@dataclass(frozen=True, slots=True)
class Command:
    """What to do: set `name` to `value`, or "clear" or "help"; and the words that say that it was done."""

    name: str
    value: Any = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a command cannot be followed."""

    text: str


def parse(text: str) -> Command | Refusal | None:
    """Read what was typed; None for a message."""
    found = _COMMAND.fullmatch(text.rstrip())
    if found is None:
        return None
    # As people write it: /topk, /top_k, /top-k.
    word = found["word"].lower().replace("_", "").replace("-", "")
    read = _READERS.get(word)
    if read is None:
        known = ", ".join(example.split()[0] for example in COMMANDS)
        return Refusal(f"There is no command /{found['word']}. Commands are {known}. {ESCAPE}")
    try:
        return read(found["rest"] or "")
    except (InvalidSettingError, InvalidMessageError) as error:
        return Refusal(str(error))


def _setting(name: str) -> Callable[[str], Command]:
    def read(rest: str) -> Command:
        value: Any = _number(rest)
        checked = getattr(replace(SamplingSettings(), **{name: value}), name)
        return Command(name, checked, f"{name} is {checked:g} now.")

    return read


def _seed(rest: str) -> Command:
    if rest.strip().lower() in ("", "random", "none"):
        return Command("seed", None, "Each answer draws its own seed now.")
    seed = replace(SamplingSettings(), seed=cast(int, _number(rest))).seed
    return Command("seed", seed, f"seed is {seed} now.")


def _words(name: str, role: Role, what: str) -> Callable[[str], Command]:
    """Read a text that becomes a message, and is judged as one."""

    def read(rest: str) -> Command:
        if not rest.strip():
            return Command(name, "", f"{what} is empty now.")
        try:
            Conversation((Message("user", "?"), Message(role, rest)) if role == "assistant" else (Message(role, rest),))
        except InvalidMessageError as error:
            raise InvalidMessageError(re.sub(r"Message \d", what, str(error))) from None
        quote = rest if len(rest) <= _LONGEST_QUOTE else f"{rest[:_LONGEST_QUOTE]}…"
        return Command(name, rest, f"{what} is now: {quote}")

    return read


def _alone(name: str, note: str = "") -> Callable[[str], Command]:
    def read(rest: str) -> Command:
        if rest.strip():
            raise InvalidMessageError(f"/{name} stands alone. {ESCAPE}")
        return Command(name, note=note)

    return read


def _number(text: str) -> float | str:
    """Return the number, or the text where it is none: the settings say what they take."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


_READERS: Mapping[str, Callable[[str], Command]] = MappingProxyType(
    {name.replace("_", ""): _setting(name) for name in LIMITS if name != "seed"}
    | {
        "seed": _seed,
        "system": _words("system_prompt", "system", "The system prompt"),
        "prefill": _words("prefill", "assistant", "The beginning of each answer"),
        "clear": _alone("clear", "This is a new chat. The one before is among the saved ones."),
        "help": _alone("help"),
    }
)
