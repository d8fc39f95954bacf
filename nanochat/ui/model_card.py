"""The loaded model beside the chat: what it is and how it works, drawn and counted from its own weights.

The words stand in model_card.html; every number in them comes from the model that is loaded.
"""

from __future__ import annotations

from dataclasses import asdict
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from nanochat.model.facts import ModelFacts
from nanochat.model.source import EMBEDDED
from nanochat.ui.amounts import short, size
from nanochat.ui.drawing import drawing
from nanochat.ui.served import ServedModel

_WORDS = Path(__file__).with_suffix(".html")

_ADDITIONS = {
    "value embeddings": "Some layers look up a second row by the token and mix it into what attention fetches.",
    "sliding windows": "Some layers look back only a short way, which costs less; the others see everything.",
    "residual mixes": "Each block weighs the stream against the embedding it began with, by two learned numbers.",
    "smear": "A little of the token before is mixed into each embedding.",
    "backout": "Near the end, a share of the stream as it was halfway is taken out again.",
}


def card(served: ServedModel) -> dict[str, Any]:
    """Return the same facts for programs."""
    facts, checkpoint = served.facts, served.checkpoint
    return {
        "source": checkpoint.source,
        "revision": checkpoint.revision,
        "checksum": checkpoint.checksum,
        "device": str(checkpoint.model.device),
        "parameters": facts.parameters,
        "size_bytes": facts.size_bytes,
        "flops_a_token": facts.flops_a_token(0),
        "flops_a_token_at_full_context": facts.flops_a_token(facts.context_tokens - 1),
        **asdict(facts),
        "config": checkpoint.model.config.to_diff_dict(),
    }


def card_html(served: ServedModel) -> str:
    """Return the panel for readers."""
    facts, config = served.facts, served.checkpoint.model.config
    cap = config.final_logit_softcapping
    shared = "each with keys and values of its own"
    if facts.kv_heads < facts.heads:
        shared = f"they share {facts.kv_heads} sets of keys and values"
    values = {
        **_amounts(facts),
        **{part.name: f"{short(part.parameters)} parameters" for part in facts.whole.parts},
        "device": str(served.checkpoint.model.device),
        "heads": f"{facts.heads}",
        "kv_heads": shared,
        "hidden": f"{facts.hidden_size:,}",
        "intermediate": f"{facts.intermediate_size:,}",
        "layers": f"{len(facts.layers)}",
        "vocabulary": f"{facts.vocabulary:,}",
        "softcap": f"They are bent so that none leaves the range of ±{cap:g} (softcap)." if cap else "",
    }
    # Only these two are markup of our own; whatever else comes from a model is text.
    markup = {"drawing": drawing(facts, cap), "additions": _additions(facts), "origin": _origin(served)}
    return Template(_WORDS.read_text()).substitute({name: escape(text) for name, text in values.items()} | markup)


def _amounts(facts: ModelFacts) -> dict[str, str]:
    flops = facts.flops_a_token(0)
    return {
        "parameters": short(facts.parameters),
        "parameters_exact": f"{facts.parameters:,}",
        "bytes": size(facts.size_bytes),
        "bytes_exact": f"{facts.size_bytes:,}",
        "flops": short(flops),
        "flops_exact": f"{flops:,}",
        "kv": size(facts.kv_bytes_a_token),
        "kv_exact": f"{facts.kv_bytes_a_token:,}",
        "context": f"{facts.context_tokens:,}",
        "dtype": facts.dtype,
    }


def _additions(facts: ModelFacts) -> str:
    return "".join(
        f"<li><h3>{escape(name.capitalize())}</h3><p>{escape(_ADDITIONS[name])}</p></li>" for name in facts.additions
    )


def _origin(served: ServedModel) -> str:
    """Say where the weights come from, and by which number they can be told from others."""
    checkpoint = served.checkpoint
    name = "the folder in this repository" if checkpoint.source == EMBEDDED else checkpoint.source
    revision = f", revision {checkpoint.revision}" if checkpoint.revision else ""
    where = escape(f"Loaded from {name}{revision}.")
    return f"{where} SHA-256 of the weights: <code>{escape(checkpoint.checksum)}</code>"
