"""An answer as it grows: which of its ids are text, which call the calculator, which are the calculator's result.

    The product is <|python_start|>12*34<|python_end|><|output_start|>408<|output_end|>408.

Only the text is for the reader's eyes. Ids are what the model remembers, so they are all kept, and the parts to show
are made from them.
"""

from __future__ import annotations

from collections.abc import Iterable

from nanochat.chat.conversation import Message, Part, PartType
from nanochat.chat.decoding import TextDecoder
from nanochat.chat.template import ChatTemplate


class Answer:
    """The ids of one assistant message, with what they mean. `call` is the expression that the last id closed."""

    def __init__(self, template: ChatTemplate, ids: Iterable[int] = ()) -> None:
        control = template.control
        self._template = template
        self._opens: dict[int, PartType] = {control.python_start: "python", control.output_start: "python_output"}
        self._closes: dict[PartType, int] = {"python": control.python_end, "python_output": control.output_end}
        self._text = TextDecoder(template)
        self._calculator = TextDecoder(template)
        self._open: PartType = "text"
        self._parts: list[tuple[PartType, list[str]]] = []
        self.ids: list[int] = []
        self.call: str | None = None
        for token_id in ids:
            self.push(token_id)

    def push(self, token_id: int) -> str:
        """Take the next id; return the visible text it completed, empty for control tokens and calculator ids."""
        self.ids.append(token_id)
        self.call = None
        if token_id in self._opens:
            self._open = self._opens[token_id]
            self._parts.append((self._open, []))
            self._calculator = TextDecoder(self._template)
        elif token_id == self._closes.get(self._open):
            # Nothing between the tokens is nothing to compute.
            self.call = "".join(self._parts[-1][1]) or None if self._open == "python" else None
            self._open = "text"
        elif self._open == "text":
            return self._push_text(token_id)
        else:
            self._parts[-1][1].append(self._calculator.push(token_id))
        return ""

    def message(self) -> Message:
        """Return what to remember. Bytes of a character that never became whole are in the ids but not in the text."""
        parts = tuple(Part(kind, "".join(pieces)) for kind, pieces in self._parts)
        text_only = all(part.type == "text" for part in parts)
        content = "".join(part.text for part in parts) if text_only else parts
        return Message("assistant", content, tuple(self.ids), self._template.vocabulary)

    def _push_text(self, token_id: int) -> str:
        text = self._text.push(token_id)
        if text:
            if not self._parts or self._parts[-1][0] != "text":
                self._parts.append(("text", []))
            self._parts[-1][1].append(text)
        return text
