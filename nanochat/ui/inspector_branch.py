"""Another path from a token that is looked at: allowed only while the chat on the page ends in that very answer."""

from __future__ import annotations

from nanochat.chat.conversation import Conversation
from nanochat.chat.template import ChatTemplate
from nanochat.errors import LensError
from nanochat.lens.branch import branched
from nanochat.lens.observed import answered
from nanochat.ui.inspector_views import Selection


def begun_branch(
    selected: Selection | None, remembered: Conversation, template: ChatTemplate, token_id: int
) -> Conversation:
    """Return the chat up to the selected token, with another in its place.

    Raises LensError for a token of the prompt, and when the chat on the page has gone on, or was edited, since the
    answer that is looked at.
    """
    if selected is None:
        raise LensError("Click a token first.")
    if selected.place < 0:
        raise LensError("This token is the prompt's: edit your message instead.")
    conversation, offset = answered(selected.seen, template)
    if not _ends_in(remembered, conversation, offset + selected.place):
        raise LensError("The chat has changed since this answer: click a token of the answer that it ends in now.")
    return branched(conversation, template, len(conversation.messages) - 1, offset + selected.place, token_id)


def _ends_in(remembered: Conversation, observed: Conversation, place: int) -> bool:
    """Say whether a chat is the observed one. Of an answer that was stopped the page may lack the last few tokens."""
    if not remembered.messages or remembered.messages[:-1] != observed.messages[:-1]:
        return False
    ids, observed_ids = remembered.messages[-1].ids or (), observed.messages[-1].ids or ()
    return place <= len(ids) <= len(observed_ids) and ids == observed_ids[: len(ids)]
