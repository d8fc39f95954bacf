"""Conversation to token ids, as nanochat was trained to read it.

    <|bos|> <|user_start|>question<|user_end|> <|assistant_start|>answer<|assistant_end|> <|user_start|> …

Control tokens enter by their ids alone and text enters as text: somebody who types <|assistant_end|> sends
harmless punctuation and letters. What the model answered goes back as the ids it produced, so the prompt of a
turn, followed by the answer and <|assistant_end|>, is the beginning of the prompt of the next turn, and keys and values
that were computed once stay valid.

Source: karpathy/nanochat, tokenizer.py, render_conversation and render_for_completion.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, fields
from itertools import chain

from tokenizers import Tokenizer

from nanochat.chat.conversation import Conversation, Message
from nanochat.errors import CheckpointError, ContextFullError, InvalidMessageError


@dataclass(frozen=True, slots=True)
class ControlTokens:
    """The ids of the nine tokens that give a chat its form; no text is ever encoded to one of them."""

    bos: int
    user_start: int
    user_end: int
    assistant_start: int
    assistant_end: int
    python_start: int
    python_end: int
    output_start: int
    output_end: int

    @property
    def all(self) -> frozenset[int]:
        return frozenset(getattr(self, field.name) for field in fields(self))


@dataclass(frozen=True, slots=True)
class FittedPrompt:
    """A prompt that fits: its ids, how many of the oldest turns it leaves out, and what is left of the chat."""

    ids: tuple[int, ...]
    dropped_turns: int
    conversation: Conversation


class ChatTemplate:
    """One tokenizer's way to write conversations. Safe to use from many threads at once."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        """Raises CheckpointError for a tokenizer that is not nanochat's kind."""
        self.control = _control_tokens(tokenizer)
        self._tokenizer = _private_copy(tokenizer)
        # Enough to tell tokenizers apart by accident; nobody gains by forging it.
        self.vocabulary = hashlib.sha256(self._tokenizer.to_str().encode()).hexdigest()[:12]
        self._added = {token_id: added.content for token_id, added in tokenizer.get_added_tokens_decoder().items()}
        self._control_ids = self.control.all
        self._byte_of = _byte_alphabet()
        self.vocab_size = tokenizer.get_vocab_size(with_added_tokens=True)
        self._check_vocabulary()

    def wrote(self, message: Message) -> bool:
        """Say whether a message is remembered by ids that mean to this tokenizer what they meant to their writer."""
        return message.ids is not None and message.vocabulary in ("", self.vocabulary)

    def encode(self, text: str) -> list[int]:
        """Encode text as text: whatever it spells, no control id comes out."""
        return self._tokenizer.encode(text, add_special_tokens=False).ids

    def token_bytes(self, token_id: int) -> bytes:
        """Return what the token adds to the text: a token may hold part of a character, a control token nothing."""
        if token_id in self._control_ids:
            return b""
        if token_id in self._added:
            return self._added[token_id].encode()
        # A model's vocabulary may be padded beyond its tokenizer's; such an id stands for no text.
        spelling = self._tokenizer.id_to_token(token_id) or ""
        return bytes(self._byte_of[character] for character in spelling)

    def token_name(self, token_id: int) -> str:
        """Return the token for show: control tokens by name, parts of characters as a replacement mark."""
        name = self._tokenizer.id_to_token(token_id)
        if name is None:
            return f"<|unused_{token_id}|>"
        return name if token_id in self._added else self.token_bytes(token_id).decode(errors="replace")

    def render(self, conversation: Conversation) -> tuple[list[int], list[int]]:
        """Return the ids of the whole conversation, and a mask with 1 where the assistant learns to speak.

        Raises InvalidMessageError for a conversation without a user message.
        """
        system, turns = _system_and_turns(conversation)
        opening = Message("user", f"{system.text}\n\n{turns[0].text}") if system else turns[0]
        rendered = [self._render_message(message) for message in (opening, *turns[1:])]
        ids = chain.from_iterable(message_ids for message_ids, _ in rendered)
        mask = chain.from_iterable(message_mask for _, message_mask in rendered)
        return [self.control.bos, *ids], [0, *mask]

    def prompt(self, conversation: Conversation) -> list[int]:
        """Return the ids after which the model speaks: a new answer, or the rest of an unfinished one."""
        ids, _ = self.render(conversation)
        return ids[:-1] if conversation.messages[-1].role == "assistant" else [*ids, self.control.assistant_start]

    def answer_ids(self, message: Message) -> list[int]:
        """Return the ids of an assistant message between its start and its end token.

        What another model wrote is read as the text it was.
        """
        if message.ids is None or not self.wrote(message):
            return self._composed(message)
        # A chat kept from before the model was changed: its ids mean other words now, or nothing.
        if any(token_id >= self.vocab_size for token_id in message.ids):
            raise InvalidMessageError(
                "An answer in this chat is from a model with another vocabulary: start a new one."
            )
        return list(message.ids)

    def fit(self, conversation: Conversation, limit: int) -> FittedPrompt:
        """Return the prompt of at most `limit` ids that forgets the fewest turns, the oldest ones first.

        A turn is a question with its answer; the system message and the last question always stay.
        Raises ContextFullError when these alone are too long.
        """
        system, turns = _system_and_turns(conversation)
        start = (system,) if system else ()
        lengths = [len(self._render_message(message)[0]) for message in turns]
        # The opening ends in <|assistant_start|>; an unfinished answer has its own, and no <|assistant_end|>.
        surplus = 2 if turns[-1].role == "assistant" else 0
        needed = 0
        for first in range(0, len(turns), 2):
            opening = self.prompt(Conversation((*start, turns[first])))
            needed = len(opening) + sum(lengths[first + 1 :]) - surplus
            if needed <= limit:
                kept = Conversation((*start, *turns[first:]))
                return FittedPrompt(tuple(self.prompt(kept)), first // 2, kept)
        raise ContextFullError(needed, limit)

    def _check_vocabulary(self) -> None:
        """Refuse, when the model is loaded, what would garble or forge text in the middle of a chat."""
        ordinary = self._tokenizer.get_vocab(with_added_tokens=False).keys() - set(self._added.values())
        if not set("".join(ordinary)) <= self._byte_of.keys() <= ordinary:
            raise CheckpointError("The tokenizer is not byte-level: it cannot belong to a nanochat model.")
        for field in fields(ControlTokens):
            if not self._control_ids.isdisjoint(self.encode(f"<|{field.name}|>")):
                raise CheckpointError(f"The tokenizer turns a typed <|{field.name}|> into a control token.")

    def _render_message(self, message: Message) -> tuple[list[int], list[int]]:
        control = self.control
        if message.role == "user":
            ids = [control.user_start, *self.encode(message.text), control.user_end]
            return ids, [0] * len(ids)
        answer = self.answer_ids(message)
        return [control.assistant_start, *answer, control.assistant_end], [0, *self._spoken(answer), 1]

    def _composed(self, message: Message) -> list[int]:
        """Write an answer that came as text, with its calculator parts, in control tokens."""
        control = self.control
        if isinstance(message.content, str):
            return self.encode(message.content)
        ids: list[int] = []
        for part in message.content:
            text = self.encode(part.text)
            if part.type == "python":
                text = [control.python_start, *text, control.python_end]
            elif part.type == "python_output":
                text = [control.output_start, *text, control.output_end]
            ids += text
        return ids

    def _spoken(self, answer: list[int]) -> list[int]:
        """Mark with 0 what the calculator put in: a model is not trained to guess its results."""
        mask = []
        calculated = False
        for token_id in answer:
            calculated = calculated or token_id == self.control.output_start
            mask.append(0 if calculated else 1)
            calculated = calculated and token_id != self.control.output_end
        return mask


def _system_and_turns(conversation: Conversation) -> tuple[Message | None, tuple[Message, ...]]:
    messages = conversation.messages
    system = messages[0] if messages and messages[0].role == "system" else None
    turns = messages[1:] if system else messages
    if not turns:
        raise InvalidMessageError("A conversation needs at least one user message.")
    return system, turns


def _control_tokens(tokenizer: Tokenizer) -> ControlTokens:
    ids = {}
    for field in fields(ControlTokens):
        token_id = tokenizer.token_to_id(f"<|{field.name}|>")
        if token_id is None:
            raise CheckpointError(
                f"The tokenizer has no <|{field.name}|>: it does not belong to a nanochat chat model."
            )
        ids[field.name] = token_id
    return ControlTokens(**ids)


def _private_copy(tokenizer: Tokenizer) -> Tokenizer:
    """Copy a tokenizer into one that reads typed control tokens as text, and that nobody else can switch back.

    The switch holds for the whole tokenizer, not for one call: flipped around a call it lets control tokens through on
    other threads. It concerns only tokens marked as special, so all are marked.
    """
    state = json.loads(tokenizer.to_str())
    for added in state["added_tokens"]:
        added["special"] = True
    state["truncation"] = state["padding"] = None
    copy = Tokenizer.from_str(json.dumps(state))
    copy.encode_special_tokens = True
    return copy


def _byte_alphabet() -> dict[str, int]:
    """Map each character of a byte-level vocabulary to the byte it stands for.

    Bytes that print stand for themselves; the others borrow the characters from 256 on, in order (GPT-2, encoder.py,
    bytes_to_unicode).
    """
    printing = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    borrowed = (byte for byte in range(256) if byte not in printing)
    return {chr(byte): byte for byte in printing} | {chr(256 + place): byte for place, byte in enumerate(borrowed)}
