"""The loaded model beside the chat: what it is and how it works, drawn and counted from its own weights.

The words stand in model_card.html and in the folder `walk`; every number in them comes from the model that is loaded.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from string import Template
from typing import Any

from nanochat.chat.engine import LocalEngine
from nanochat.lens.observed import ObservedEngine
from nanochat.model.cache import SlotCache
from nanochat.model.source import EMBEDDED
from nanochat.ui.amounts import short, size
from nanochat.ui.comparison import comparison_html
from nanochat.ui.drawing import drawing
from nanochat.ui.inspector_tokens import text_html
from nanochat.ui.parameter_tree import tree, tree_html
from nanochat.ui.plan import Plan, sentence_of
from nanochat.ui.served import ServedModel
from nanochat.ui.walk import walk_html

_WORDS = Path(__file__).with_suffix(".html")
_SHOWN_DIGITS = 12


def card(served: ServedModel) -> dict[str, Any]:
    """Return the same facts for programs."""
    facts, checkpoint, cache = served.facts, served.checkpoint, slots_of(served)
    return {
        "source": checkpoint.source,
        "revision": checkpoint.revision,
        "checksum": checkpoint.checksum,
        "device": str(checkpoint.model.device),
        "parameters": facts.parameters,
        "size_bytes": facts.size_bytes,
        "flops_a_token": facts.flops_a_token(0),
        "flops_a_token_at_full_context": facts.flops_a_token(facts.context_tokens - 1),
        "slots": len(cache.slots) if cache else None,
        "slots_bytes": cache.size_bytes if cache else None,
        **asdict(facts),
        "config": checkpoint.model.config.to_diff_dict(),
    }


def card_html(served: ServedModel) -> str:
    """Return the panel for readers."""
    plan = plan_of(served)
    values = {**_amounts(plan), "device": str(served.checkpoint.model.device)}
    # These are markup of our own; whatever else comes from a model is text.
    markup = {
        "slots": _slots(served),
        "drawing": drawing(plan),
        "walk": walk_html(plan),
        "comparison": comparison_html(plan),
        "tree": tree_html(tree(plan.facts.tensors)),
        "origin": _origin(served),
    }
    return Template(_WORDS.read_text()).substitute({name: text_html(text) for name, text in values.items()} | markup)


def plan_of(served: ServedModel) -> Plan:
    """Gather what the card is drawn from."""
    facts, cache = served.facts, slots_of(served)
    kept = cache.size_bytes // (len(cache.slots) * cache.context) if cache else facts.kv_bytes_a_token
    return Plan(
        facts,
        served.checkpoint.model.config,
        sentence_of(served.template),
        control_tokens=len(served.template.control.all),
        kv_bytes_a_token=kept,
    )


def slots_of(served: ServedModel) -> SlotCache | None:
    """Return where keys and values of all conversations lie; None where that is not in this process."""
    engine = served.engine.engine if isinstance(served.engine, ObservedEngine) else served.engine
    return engine.cache if isinstance(engine, LocalEngine) else None


def _amounts(plan: Plan) -> dict[str, str]:
    facts, kept = plan.facts, plan.kv_bytes_a_token
    flops = facts.flops_a_token(0)
    return {
        "parameters": short(facts.parameters),
        "parameters_exact": f"{facts.parameters:,}",
        "bytes": size(facts.size_bytes),
        "bytes_exact": f"{facts.size_bytes:,}",
        "flops": short(flops),
        "flops_exact": f"{flops:,}",
        "kv": size(kept),
        "kv_exact": f"{kept:,}",
        "context": f"{facts.context_tokens:,}",
        "dtype": f"{facts.quantized}, else {facts.dtype}" if facts.quantized else facts.dtype,
    }


def _slots(served: ServedModel) -> str:
    """Say what all conversations may take together, where that is known."""
    cache = slots_of(served)
    if cache is None:
        return ""
    count = "1 conversation" if len(cache.slots) == 1 else f"{len(cache.slots)} conversations"
    amount = f'<dd title="{cache.size_bytes:,} bytes of keys and values">{size(cache.size_bytes)}</dd>'
    return f'<div class="wide"><dt>Memory for {count} when full</dt>{amount}</div>'


def _origin(served: ServedModel) -> str:
    """Say where the weights come from, and by which number they can be told from others."""
    checkpoint = served.checkpoint
    name = "the folder in this repository" if checkpoint.source == EMBEDDED else checkpoint.source
    revision = f", revision {checkpoint.revision}" if checkpoint.revision else ""
    where, checksum = text_html(f"Loaded from {name}{revision}."), text_html(checkpoint.checksum)
    return (
        f'{where} SHA-256 of the weights: <code title="{checksum}">{checksum[:_SHOWN_DIGITS]}…</code> '
        f'<button type="button" class="copy" data-copy="{checksum}" aria-label="Copy the SHA-256 of the weights">Copy'
        "</button>"
    )
