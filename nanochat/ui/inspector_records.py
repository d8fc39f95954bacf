"""What the inspector shows, as one JSON object for programs, bounded whatever the length of the text.

Of each head only the places it looked at most are told, of one head the map of the newest tokens, of the vocabulary
only the best candidates. Layers count from 1
as on the page, 0 being the embedding; heads and positions count from 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from nanochat.chat.conversation import Conversation
from nanochat.chat.sampling import SamplingSettings
from nanochat.chat.template import ChatTemplate
from nanochat.errors import LensError
from nanochat.lens.choices import Choices, choices
from nanochat.lens.look import Lens, Look

SHOWN_PLACES = 8


def inspection(
    conversation: Conversation,
    position: object,
    settings: SamplingSettings,
    lens: Lens,
    template: ChatTemplate,
    *,
    layer: object = 1,
    head: object = 0,
) -> dict[str, Any]:
    """Return how the token at `position` of a chat as it is sent to the model came to be chosen; None is the last one.

    `layer`, from 1, and `head`, from 0, are those whose attention is worked through. Raises LensError.
    """
    ids = template.prompt(conversation)
    place = len(ids) - 1 if position is None else _whole("position", position)
    look = lens.look(ids, place, layer=_whole("layer", layer) - 1, head=_whole("head", head))
    found = choices(look.logits, settings, look.chosen_id, ids[:place])
    return {
        "position": place,
        "length": len(ids),
        "token": _token(template, look.chosen_id),
        "candidates": _candidates(found, template),
        "layers": _layers(look, template),
        "decided_after": look.decided_after,
        "shares": [asdict(share) for share in look.shares],
        "attention": _attention(look, ids, template),
        "pattern": _pattern(look),
        "neurons": [_firing(firing, template) for firing in map(asdict, look.firings)],
        "softcap": asdict(look.softcap),
        "match": asdict(look.match),
    }


def _candidates(found: Choices, template: ChatTemplate) -> dict[str, Any]:
    shown = [asdict(choice) | {"text": template.token_name(choice.id)} for choice in found.shown]
    return {
        "shown": shown,
        "left": found.left,
        "surprise_bits": found.surprise_bits,
        "entropy_bits": found.entropy_bits,
    }


def _layers(look: Look, template: ChatTemplate) -> list[dict[str, Any]]:
    return [
        {
            "layer": row.layer,
            "rank": row.rank,
            "probability": row.probability,
            "best": [asdict(guess) | {"text": template.token_name(guess.id)} for guess in row.best],
        }
        for row in look.lens
    ]


def _attention(look: Look, ids: Sequence[int], template: ChatTemplate) -> list[list[dict[str, Any]]]:
    """Return for each layer and head its share on the first token and the places it looked at most."""
    best = look.attention.topk(min(SHOWN_PLACES, look.attention.shape[-1]), dim=-1)
    return [
        [
            {
                "first_token": float(look.attention[layer, head, 0]),
                "most": [
                    {"position": place, "text": template.token_name(ids[place]), "weight": weight}
                    for place, weight in zip(places, weights, strict=True)
                ],
            }
            for head, (places, weights) in enumerate(zip(*rows, strict=True))
        ]
        for layer, rows in enumerate(zip(best.indices.tolist(), best.values.tolist(), strict=True))
    ]


def _pattern(look: Look) -> dict[str, Any]:
    """Return the map of one head, as `look.match` names it: a row for each of the newest tokens, up to itself."""
    first = look.position - len(look.pattern)
    rows = [row[first : first + place + 1] for place, row in enumerate(look.pattern.tolist())]
    return {"first": first, "rows": [[round(weight, 4) for weight in row] for row in rows]}


def _firing(firing: dict[str, Any], template: ChatTemplate) -> dict[str, Any]:
    for neuron in firing["strongest"]:
        neuron["words"] = [template.token_name(token_id) for token_id in neuron["pushes_up"]]
    return firing


def _token(template: ChatTemplate, token_id: int) -> dict[str, Any]:
    return {"id": token_id, "text": template.token_name(token_id), "bytes": list(template.token_bytes(token_id))}


def _whole(name: str, value: object) -> int:
    """Return a whole number that a caller sent; 3.0 is one, as JSON has no other numbers in some languages."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value % 1:
        raise LensError(f"{name} must be a whole number.")
    return int(value)
