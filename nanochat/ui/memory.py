"""What the page shows, matched against what is remembered.

The browser holds text; what the model said is remembered as token ids, calculator tokens included. Each question
comes with the chat as it is shown: a turn shown as it is remembered keeps its ids, and a turn that was edited, or comes
from a chat saved long ago, is made anew from its words. So the ids are the memory, and the page is a view of it.
"""

from __future__ import annotations

from nanochat.chat.conversation import Conversation, Message
from nanochat.errors import InvalidMessageError
from nanochat.ui.bubbles import read, shown_parts
from nanochat.ui.reply import parts_of

NOTHING = Conversation()


def recalled(remembered: Conversation, shown: tuple[Message, ...]) -> tuple[Message, ...]:
    """Return the shown messages, each with the ids it is remembered by where it is still the same."""
    memories = iter([message for message in remembered.messages if message.role != "system"])
    return tuple(
        memory if (memory := next(memories, None)) and looks_like(memory, message) else message for message in shown
    )


def looks_like(memory: Message, message: Message) -> bool:
    """Say whether two messages show the same on the page."""
    return memory.role == message.role and shown_parts(parts_of(memory)) == shown_parts(parts_of(message))


def asked(remembered: Conversation, history: object, message: object, system_prompt: object) -> Conversation:
    """Return the conversation that a question on the page asks to have answered. Raises InvalidMessageError."""
    turns = recalled(remembered, read(history))
    return with_system(Conversation.from_messages([*turns, {"role": "user", "content": message}]), system_prompt)


def with_system(conversation: Conversation, system_prompt: object) -> Conversation:
    """Put the turns under the system prompt that a setting gives, if it gives one. Raises InvalidMessageError."""
    if not isinstance(system_prompt, str | None):
        raise InvalidMessageError("system_prompt must be text.")
    return conversation.with_system(system_prompt) if system_prompt and system_prompt.strip() else conversation
