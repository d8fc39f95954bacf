"""What the inspector shows, from an observed answer: values in, the HTML of each drawing out, nothing of Gradio."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass, replace

from nanochat.chat.conversation import Conversation
from nanochat.chat.events import Event
from nanochat.chat.template import ChatTemplate
from nanochat.errors import LensError
from nanochat.lens.choices import choices
from nanochat.lens.look import Lens, Look
from nanochat.lens.observed import Observation, ObservedEngine
from nanochat.ui.inspector_layers import firings_html, lens_html, ranks_svg, shares_svg
from nanochat.ui.inspector_sums import head_html, norm_html, rope_html, softcap_html, strips_html
from nanochat.ui.inspector_tokens import Chip, chips_html, choices_html
from nanochat.ui.reply import Reply, after, parts_of
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
        """The token's place in the answer."""
        return self.position - len(self.seen.prompt_ids)


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


def selection(seen: Observation | None, position: object) -> Selection:
    """Read a click on a chip. Raises LensError for a token that is not in the answer."""
    if seen is None:
        raise LensError("There is no answer to look into: ask something first.")
    number = whole(position)
    if not len(seen.prompt_ids) <= number < len(seen.ids):
        raise LensError("This token is not in the answer: click one that is.")
    return Selection(seen, number)


def whole(value: object) -> int:
    """Read a number that a button of the page carries. Raises LensError for anything else."""
    if not isinstance(value, str) or not value.isascii() or not value.isdecimal() or len(value) > 9:
        raise LensError("This is not a button of the page.")
    return int(value)


def tokens_view(seen: Observation | None, template: ChatTemplate, selected: int | None) -> str:
    """Draw the tokens of an answer, each with the probability it had when it was chosen."""
    if seen is None:
        return chips_html((), ())
    prompt = [_chip(template, place, token_id) for place, token_id in enumerate(seen.prompt_ids)]
    answer = [
        replace(
            _chip(template, len(prompt) + place, token.id), probability=math.exp(token.logprob), forced=token.forced
        )
        for place, token in enumerate(seen.tokens)
    ]
    return chips_html(prompt, answer, selected)


def choices_view(selected: Selection, lens: Lens, template: ChatTemplate, temperature: float | None = None) -> str:
    """Draw the candidates from the captured logits; only where these are gone does the model read the text again."""
    seen = selected.seen
    logits = seen.trace.logits(selected.place)
    if logits is None:
        logits = lens.look(seen.ids, selected.position).logits
    settings = seen.settings if temperature is None else replace(seen.settings, temperature=temperature)
    token = seen.tokens[selected.place]
    found = choices(logits, settings, token.id, seen.ids[: selected.position])
    names = [template.token_name(choice.id) for choice in found.shown]
    return choices_html(found, names, branching=seen.finished and not token.forced)


def panels(selected: Selection, lens: Lens, template: ChatTemplate) -> Panels:
    """Look into the model and draw what there is to see. Raises LensError."""
    name = template.token_name
    look = lens.look(selected.seen.ids, selected.position, layer=selected.layer, head=selected.head)
    layers = lens_html(look.lens, look.decided_after, name) + ranks_svg(look.lens, len(look.logits))
    return Panels(
        layers=layers + shares_svg(look.shares),
        attention=_attention(selected, look, template),
        neurons=firings_html(look.firings, name),
        sums=_sums(selected, look, template),
    )


def continued(
    events: Generator[Event, None, None], begun: Conversation, clock: Callable[[], float] = time.monotonic
) -> Generator[Reply, None, None]:
    """Yield the reply as it grows from what it began with. Closing this generator closes the events'."""
    message = begun.messages[-1]
    reply = Reply(asked_at=clock())
    if message.role == "assistant":
        reply = replace(reply, parts=parts_of(message), ids=message.ids or ())
    with closing(events):
        for event in events:
            reply = after(reply, event, clock())
            yield reply


def _attention(selected: Selection, look: Look, template: ChatTemplate) -> str:
    names = [template.token_name(token_id) for token_id in selected.seen.ids[: selected.position]]
    weights = look.attention.tolist()
    large = head_html(weights[selected.layer][selected.head], names, selected.layer, selected.head)
    return strips_html(weights, (selected.layer, selected.head)) + large


def _sums(selected: Selection, look: Look, template: ChatTemplate) -> str:
    ids, name = selected.seen.ids, template.token_name
    rope = look.match.rope
    names = (name(ids[rope.query.place]), name(ids[rope.key.place]))
    return (
        "<h3>Softcap</h3>"
        + softcap_html(look.softcap, name)
        + f"<h3>RoPE, layer {look.match.layer}, head {look.match.head + 1}</h3>"
        + rope_html(rope, names)
        + "<h3>QK-norm of the same head</h3>"
        + norm_html(look.match)
    )


def _chip(template: ChatTemplate, place: int, token_id: int) -> Chip:
    return Chip(place, token_id, template.token_name(token_id), template.token_bytes(token_id))
