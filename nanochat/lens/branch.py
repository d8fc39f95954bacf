"""Another path: the chat as it stood before one token of an answer, with another token in its place.

An unfinished answer at the end of a conversation is continued by the engine from its exact ids, calculator included, so
a branch is nothing but such a conversation.
"""

from __future__ import annotations

from nanochat.chat.answer import Answer
from nanochat.chat.conversation import Conversation, Message
from nanochat.chat.template import ChatTemplate
from nanochat.errors import LensError


def branched(
    conversation: Conversation, template: ChatTemplate, message: int, place: int, token_id: int
) -> Conversation:
    """Return the conversation up to `place` of its message number `message`, from 0, going on with `token_id`.

    Raises LensError for a message that is not the assistant's, a place it does not have, and an id that cannot go on.
    """
    answer = _answer(conversation, message)
    ids = template.answer_ids(answer)
    if not 0 <= place < len(ids):
        raise LensError(f"This answer has no token {place}: they run from 0 to {len(ids) - 1}.")
    if not 0 <= token_id < template.vocab_size:
        raise LensError(f"There is no token {token_id}: ids run from 0 to {template.vocab_size - 1}.")
    if token_id in (template.control.assistant_end, template.control.bos):
        raise LensError("This token ends the answer: there is nothing to continue.")
    if _is_forced(template, ids, place):
        raise LensError("This token is the calculator's, not the model's: choose one before the sum or after it.")
    begun = Answer(template, [*ids[:place], token_id]).message()
    return Conversation((*conversation.messages[:message], begun))


def _answer(conversation: Conversation, message: int) -> Message:
    if not 0 <= message < len(conversation.messages):
        raise LensError("This answer is no longer in the chat: look at one that is.")
    answer = conversation.messages[message]
    if answer.role != "assistant":
        raise LensError("Only what the model said can be continued differently.")
    return answer


def _is_forced(template: ChatTemplate, ids: list[int], place: int) -> bool:
    """Say whether a token stands within a calculator's result, whose first id is <|output_start|>."""
    inside = False
    for token_id in ids[:place]:
        if token_id in (template.control.output_start, template.control.output_end):
            inside = token_id == template.control.output_start
    return inside or ids[place] == template.control.output_start
