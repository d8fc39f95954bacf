"""What the inspector shows, from an observed answer: values in, the HTML of each drawing out, nothing of Gradio."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from nanochat.chat.conversation import Conversation
from nanochat.chat.template import ChatTemplate
from nanochat.errors import LensError
from nanochat.lens.choices import choices
from nanochat.lens.look import Lens, Look
from nanochat.lens.observed import Observation, ObservedEngine
from nanochat.ui.inspector_attention import head_html, pattern_html, strips_html
from nanochat.ui.inspector_layers import firings_html, lens_html, ranks_html, shares_html
from nanochat.ui.inspector_sums import norm_html, rope_html, softcap_html
from nanochat.ui.inspector_tokens import Chip, chips_html, choices_html, code, percent, prompt_html
from nanochat.ui.served import ServedModel


@dataclass(frozen=True, slots=True, eq=False)
class Selection:
    """The token that is looked at: of which answer, where, and which head of the attention is shown large."""

    seen: Observation
    position: int
    layer: int = 0
    head: int = 0

    @property
    def place(self) -> int:
        """The token's place in the answer; below zero for one of the prompt."""
        return self.position - len(self.seen.prompt_ids)

    @property
    def id(self) -> int:
        return self.seen.ids[self.position]

    @property
    def forced(self) -> bool:
        """Whether the calculator put it in."""
        return self.place >= 0 and self.seen.tokens[self.place].forced

    def is_of(self, other: Selection) -> bool:
        """Whether the other one is the same token of the same answer, however far that had come."""
        return (self.seen.name, self.position) == (other.seen.name, other.position)

    @property
    def branching(self) -> bool:
        """Whether the answer can go on with another token in its place."""
        return self.seen.ended and self.place >= 0 and not self.forced


@dataclass(frozen=True, slots=True)
class Panels:
    """The drawings of one selected token."""

    layers: str
    attention: str
    neurons: str
    sums: str


def observed(served: ServedModel) -> ObservedEngine:
    """Return the engine that can be looked into. Raises LensError where the model runs on lent GPUs only."""
    if not isinstance(served.engine, ObservedEngine):
        raise LensError(
            "The model answers on a lent GPU here and cannot be looked into; on a machine of its own it can."
        )
    return served.engine


def is_edited_since(seen: Observation, remembered: Conversation) -> bool:
    """Say whether the words of an observed answer, or of the chat before it, are no longer those in the chat.

    They are not either when the chat was emptied.
    """
    if not seen.ended or not seen.tokens:
        return False
    if not remembered.messages:
        return True
    asked = [message for message in seen.conversation.messages if message.role != "system"]
    if asked[-1].role == "assistant":
        asked.pop()
    now = [message for message in remembered.messages if message.role != "system"]
    # A shorter chat is one that goes on just now: the answer to its last question is not remembered yet.
    return len(now) > len(asked) and (now[: len(asked)] != asked or now[len(asked)].ids is None)


def is_worth_drawing(seen: Observation, shown: Observation | None) -> bool:
    """Say whether enough is new since what is shown: drawing each token of a long answer would take ever longer."""
    if shown is None or seen.name != shown.name or seen.ended:
        return seen is not shown
    return len(seen.tokens) - len(shown.tokens) > len(shown.tokens) // 16


def selection(seen: Observation | None, position: object, mark: str) -> Selection:
    """Read a click on a chip. Raises LensError for a token that is not there, and for another engine's than `mark`."""
    if seen is None:
        raise LensError("There is no answer to look into: ask something first.")
    if seen.engine != mark:
        raise LensError("This answer was made by another model: ask again to look into this one.")
    number = whole(position)
    if not number < len(seen.ids):
        raise LensError(f"There is no token {number}: this chat has {len(seen.ids)}. Click one that is shown.")
    if not number:
        raise LensError("Every text begins with this token: nothing led to it. Click a later one.")
    return Selection(seen, number)


def whole(value: object) -> int:
    """Read a number that a button of the page carries. Raises LensError for anything else."""
    if not isinstance(value, str) or not value.isascii() or not value.isdecimal() or len(value) > 9:
        raise LensError("This is not a button of the page.")
    return int(value)


def tokens_view(seen: Observation, template: ChatTemplate) -> str:
    """Draw the tokens of an answer, each with the probability it had when it was chosen."""
    first = len(seen.prompt_ids)
    chips = [
        replace(_chip(template, place, token.id), probability=math.exp(token.logprob), forced=token.forced)
        for place, token in enumerate(seen.tokens, start=first)
    ]
    return chips_html(chips, seen.name, ended=seen.ended)


def prompt_view(seen: Observation, template: ChatTemplate) -> str:
    """Draw the tokens of the prompt as it was sent."""
    return prompt_html([_chip(template, place, token_id) for place, token_id in enumerate(seen.prompt_ids)], seen.name)


def choices_view(selected: Selection, lens: Lens, template: ChatTemplate, temperature: float | None = None) -> str:
    """Draw the candidates from the captured logits; only where there are none does the model read the text again."""
    seen = selected.seen
    logits = seen.logits(selected.place)
    if logits is None:
        logits = lens.look(seen.ids, selected.position).logits
    settings = seen.settings if temperature is None else replace(seen.settings, temperature=temperature)
    found = choices(logits, settings, selected.id, seen.ids[: selected.position])
    names = [template.token_name(choice.id) for choice in found.shown]
    chosen = next(choice for choice in found.shown if choice.chosen)
    how = "put in by the calculator" if selected.forced else "given" if selected.place < 0 else "chosen"
    said = (
        f"<h3>Token {selected.position}: {code(template.token_name(selected.id))}</h3>"
        f'<p class="inside-note">It was {how}. The model held it at {percent(chosen.probability)}, its number '
        f"{chosen.rank:,}.</p>"
    )
    return said + choices_html(found, names, branching=selected.branching)


def panels(selected: Selection, lens: Lens, template: ChatTemplate) -> Panels:
    """Look into the model and draw what there is to see. Raises LensError."""
    name = template.token_name
    look = lens.look(selected.seen.ids, selected.position, layer=selected.layer, head=selected.head)
    layers = lens_html(look.lens, look.decided_after, name) + ranks_html(look.lens, len(look.logits))
    return Panels(
        layers=layers + shares_html(look.shares),
        attention=_attention(selected, look, template),
        neurons=firings_html(look.firings, name),
        sums=_sums(selected, look, template),
    )


def _attention(selected: Selection, look: Look, template: ChatTemplate) -> str:
    names = [template.token_name(token_id) for token_id in selected.seen.ids[: selected.position]]
    weights = look.attention.tolist()
    large = head_html(weights[selected.layer][selected.head], names, selected.layer, selected.head)
    return strips_html(weights, (selected.layer, selected.head)) + large + pattern_html(look.pattern.tolist(), names)


def _sums(selected: Selection, look: Look, template: ChatTemplate) -> str:
    ids, rope = selected.seen.ids, look.match.rope
    names = (template.token_name(ids[rope.query.place]), template.token_name(ids[rope.key.place]))
    return softcap_html(look.softcap, template.token_name) + rope_html(look.match, names) + norm_html(look.match)


def _chip(template: ChatTemplate, place: int, token_id: int) -> Chip:
    return Chip(place, token_id, template.token_name(token_id), template.token_bytes(token_id))
