"""A reply as bubbles of the chat, and bubbles read back as messages.

Gradio shows a list of messages and hands the same list back with the next question; in between it lives in a browser.
So whatever is drawn must also be read: text is text, a panel named after the calculator is the call it shows, the line
of numbers is no part of the conversation. Text travels as `{"type": "text"}`, because Gradio takes the indentation from
a plain string.

The line of numbers of an unfinished answer has a button that goes on with it. The button carries the answer's token
ids, so that a saved chat, of which the server knows nothing any more, goes on from the very token where it was cut.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

from nanochat.chat.conversation import Message, Part, Role
from nanochat.errors import InvalidMessageError
from nanochat.ui.numbers import ENDINGS, details, headline, waiting_words
from nanochat.ui.reply import Reply, content_of

Bubble: TypeAlias = dict[str, Any]

CALCULATOR = "calculator"
NUMBERS = "numbers"
WAITING = "waiting"

CONTINUE = "Continue"
EDITED = "edited"

_TITLE = re.compile(r"Calculator: (?P<fence>`+) (?P<expression>.*) (?P=fence)", re.DOTALL)
_RESULT = re.compile(r"= (?P<output>.*)", re.DOTALL)
_NO_RESULT = "gave no result"

_ENDED = (*ENDINGS, EDITED)
_ABOUT_EDITS = "- The words are yours now, and the model reads them as its own. What follows was said to the old ones."


def drawn(reply: Reply) -> list[Bubble]:
    """Return the bubbles of a reply, its numbers last."""
    bubbles = list(_drawn_parts(reply.parts))
    bubbles += waiting(waiting_words(reply))
    if reply.begun:
        numbers = _panel(NUMBERS, headline(reply), details(reply))
        cut = reply.done is not None and reply.done.finish_reason != "stop"
        bubbles.append(_to_be_continued(numbers, reply.ids) if cut else numbers)
    return bubbles


def waiting(words: str | None) -> list[Bubble]:
    """Return the bubble that says what is waited for, if there is something to say."""
    return [_panel(WAITING, words, "", status="pending")] if words else []


def marked_as_stopped(bubbles: list[Bubble], ids: Sequence[int] | None = None) -> list[Bubble]:
    """Return the bubbles with the numbers of the last answer saying that it was stopped, if it has no ending yet.

    Once it is stopped an answer cannot say so itself. `ids` are what it can be continued from.
    """
    metadata = bubbles[-1].get("metadata") if bubbles else None
    if not metadata or metadata.get("id") != NUMBERS or any(word in metadata["title"] for word in _ENDED):
        return bubbles
    numbers = {**bubbles[-1], "metadata": {**metadata, "title": f"{metadata['title']} · stopped"}}
    return [*bubbles[:-1], _to_be_continued(numbers, ids or ())]


def marked_as_edited(answer: list[Bubble]) -> list[Bubble]:
    """Return the bubbles of one answer with its numbers saying that its words are the reader's now."""
    panel = answer[-1] if (answer[-1].get("metadata") or {}).get("id") == NUMBERS else _panel(NUMBERS, "", "")
    metadata = panel["metadata"]
    before = answer[:-1] if panel is answer[-1] else answer
    if not metadata["title"].startswith(EDITED):
        title = f"{EDITED} · {metadata['title']}" if metadata["title"] else EDITED
        text = f"{_ABOUT_EDITS}\n{_read_text(panel['content'])}".strip()
        panel = {**panel, "content": [{"type": "text", "text": text}], "metadata": {**metadata, "title": title}}
    return [*before, _to_be_continued(panel, ())]


def carried_ids(bubbles: Sequence[Bubble]) -> tuple[int, ...] | None:
    """Return the ids that the last answer's button carries; None where it carries none, or what is not ids."""
    options = bubbles[-1].get("options") if bubbles else None
    value = options[0].get("value") if isinstance(options, list) and options and isinstance(options[0], dict) else None
    numbers = value.split() if isinstance(value, str) else []
    if not numbers or not all(number.isascii() and number.isdecimal() and len(number) < 9 for number in numbers):
        return None
    return tuple(int(number) for number in numbers)


def shown_parts(parts: Iterable[Part]) -> tuple[Part, ...]:
    """Return those of the parts that leave a trace on the page."""
    return tuple(part for part in parts if part.type != "text" or part.text.strip())


def read(history: object) -> tuple[Message, ...]:
    """Return the messages that bubbles show, without the questions that were never answered.

    Raises InvalidMessageError for a list that this page has not drawn.
    """
    if not isinstance(history, list):
        raise InvalidMessageError("The history of a chat must be a list of messages.")
    turns: list[tuple[Role, list[Part]]] = []
    for bubble in history:
        role, parts = _read_bubble(bubble)
        if parts is None:
            continue
        if role == "user":
            # A question may stand without an answer: it was refused, or stopped before the first word.
            if turns and turns[-1][0] == "user":
                turns.pop()
            turns.append((role, parts))
        elif turns and turns[-1][0] == "assistant":
            turns[-1][1].extend(parts)
        else:
            turns.append((role, parts))
    if turns and turns[-1][0] == "user":
        turns.pop()
    return tuple(Message(role, content_of(tuple(parts))) for role, parts in turns)


def _drawn_parts(parts: Sequence[Part]) -> Iterable[Bubble]:
    shown = shown_parts(parts)
    for place, part in enumerate(shown):
        if part.type == "text":
            yield {"role": "assistant", "content": [{"type": "text", "text": part.text}]}
        elif part.type == "python":
            following = shown[place + 1] if place + 1 < len(shown) else None
            output = following.text if following and following.type == "python_output" else None
            yield _calculation(part.text, output)


def _calculation(expression: str, output: str | None) -> Bubble:
    log = _NO_RESULT if output is None else f"= {output}"
    words = (
        "This is nothing the calculator computes, so the model goes on without a result."
        if output is None
        else f"Computed by a calculator, not by the model: it wrote {_code(expression)} and was handed {_code(output)}."
    )
    return _panel(CALCULATOR, f"Calculator: {_code(expression)}", words, log=log)


def _panel(kind: str, title: str, text: str, **metadata: str) -> Bubble:
    return {
        "role": "assistant",
        "content": [{"type": "text", "text": text}],
        # "done" draws the panel closed.
        "metadata": {"id": kind, "title": title, "status": "done", **metadata},
    }


def _to_be_continued(numbers: Bubble, ids: Sequence[int]) -> Bubble:
    return {**numbers, "options": [{"label": CONTINUE, "value": " ".join(map(str, ids))}]}


def _code(text: str) -> str:
    """Quote text for Markdown so that nothing in it, not even a backtick, is read as Markdown."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * (longest + 1)
    return f"{fence} {text} {fence}"


def _read_bubble(bubble: object) -> tuple[Role, list[Part] | None]:
    """Return whose bubble it is and what it says: None for one that only says that nothing was said yet."""
    role = bubble.get("role") if isinstance(bubble, dict) else None
    if not isinstance(bubble, dict) or role not in ("user", "assistant"):
        raise InvalidMessageError("The history of a chat holds messages of the user and the assistant only.")
    metadata = bubble.get("metadata")
    if role == "assistant" and isinstance(metadata, dict) and metadata.get("title"):
        return role, _read_panel(metadata)
    return role, [Part("text", _read_text(bubble.get("content")))]


def _read_panel(metadata: dict[str, object]) -> list[Part] | None:
    if metadata.get("id") == WAITING:
        return None
    title = _TITLE.fullmatch(str(metadata["title"]))
    if metadata.get("id") != CALCULATOR or title is None:
        return []
    call = Part("python", title["expression"])
    result = _RESULT.fullmatch(str(metadata.get("log")))
    return [call, Part("python_output", result["output"])] if result else [call]


def _read_text(content: object) -> str:
    """Take both shapes: a browser sends a list of parts, the API keeps plain strings."""
    items = content if isinstance(content, list) else [content]
    texts = [item.get("text") if isinstance(item, dict) and item.get("type") == "text" else item for item in items]
    if not all(isinstance(text, str) for text in texts):
        raise InvalidMessageError("A chat holds text only.")
    return "".join(str(text) for text in texts)
