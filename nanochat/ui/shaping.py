"""An answer is the reader's to shape: begun with words of theirs, continued where it was cut, edited in place.

All three end in a conversation whose last message is an unfinished answer, as token ids; the engine goes on from there.
"""

from __future__ import annotations

from collections.abc import Sequence

from nanochat.chat.answer import Answer
from nanochat.chat.conversation import Conversation, Message
from nanochat.chat.template import ChatTemplate
from nanochat.errors import InvalidMessageError
from nanochat.ui.bubbles import Bubble, carried_ids, marked_as_edited, read
from nanochat.ui.memory import looks_like, recalled, with_system


def prefilled(conversation: Conversation, words: object, template: ChatTemplate) -> Conversation:
    """Return the conversation with the first words of its answer. Raises InvalidMessageError."""
    if not isinstance(words, str):
        raise InvalidMessageError("The words to begin the answer with must be text.")
    if not words.strip():
        return conversation
    # Judged as any text that is sent, before it becomes ids, which are not.
    conversation.append(Message("assistant", words))
    return conversation.append(_as_ids(Message("assistant", words), template))


def unfinished(
    remembered: Conversation, history: list[Bubble], system_prompt: object, template: ChatTemplate
) -> Conversation:
    """Return the chat on the page, its last answer to be continued from the exact ids if there are any.

    A chat that is remembered goes on under the system prompt it had. Raises InvalidMessageError.
    """
    shown = read(history)
    if not shown or history[-1].get("role") != "assistant":
        raise InvalidMessageError("There is no answer to continue: ask something first.")
    turns = recalled(remembered, shown)
    system = tuple(message for message in remembered.messages if message.role == "system")
    is_remembered = (*system, *turns) == remembered.messages
    if not template.wrote(turns[-1]):
        turns = (*turns[:-1], _carried(history, turns[-1], template) or _as_ids(turns[-1], template))
    conversation = Conversation.from_messages([*(system if is_remembered else ()), *turns])
    return conversation if is_remembered else with_system(conversation, system_prompt)


def edited(history: list[Bubble], index: int) -> list[Bubble]:
    """Return the chat with the answer that the bubble at `index` is part of marked as edited; what follows is kept."""
    start, end = index, index + 1
    while start and history[start - 1].get("role") == "assistant":
        start -= 1
    while end < len(history) and history[end].get("role") == "assistant":
        end += 1
    return [*history[:start], *marked_as_edited(history[start:end]), *history[end:]]


def after_edit(remembered: Conversation, history: list[Bubble]) -> Conversation:
    """Return what is to be remembered of a chat in which words were changed: ids only of what is as it was.

    Raises InvalidMessageError.
    """
    system = [message for message in remembered.messages if message.role == "system"]
    return Conversation.from_messages([*system, *recalled(remembered, read(history))])


def up_to_the_question(history: list[Bubble]) -> list[Bubble]:
    """Return the bubbles without the last answer."""
    questions = [place for place, bubble in enumerate(history) if bubble.get("role") == "user"]
    return history[: questions[-1] + 1] if questions else []


def _as_ids(message: Message, template: ChatTemplate) -> Message:
    """Return an answer made of words as the ids it is continued from.

    A space at the end is left out: it belongs to the beginning of the next token.
    """
    ids = template.answer_ids(message)
    if isinstance(message.content, str):
        ids = template.encode(message.content.rstrip(" "))
    return Answer(template, ids).message()


def _carried(history: list[Bubble], message: Message, template: ChatTemplate) -> Message | None:
    """Return the answer by the ids that came with it from the browser, if they mean what is shown and nothing else."""
    ids = carried_ids(history)
    if ids is None or not _are_an_answer(ids, template):
        return None
    carried = Answer(template, ids).message()
    return carried if looks_like(carried, message) else None


def _are_an_answer(ids: Sequence[int], template: ChatTemplate) -> bool:
    """Say whether these ids can stand within an answer: known ones, and no token that begins or ends a turn."""
    control = template.control
    turns = {control.bos, control.user_start, control.user_end, control.assistant_start, control.assistant_end}
    return all(token_id < template.vocab_size and token_id not in turns for token_id in ids)
