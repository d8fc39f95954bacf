"""The numbers that stand in the words of the way, and what passes each of its parts, all from the model."""

from __future__ import annotations

import math
from html import escape

from nanochat.model.current import NanoChatSmear, NanoChatValueEmbedding
from nanochat.ui.amounts import size
from nanochat.ui.plan import Plan


def words(plan: Plan) -> dict[str, str]:
    """Return each placeholder of the files in `walk`, as HTML."""
    told = {name: f"{number:,}" for name, number in _numbers(plan).items()} | _texts(plan)
    return {name: escape(text) for name, text in told.items()} | _formula_pieces(plan)


def flows(plan: Plan) -> dict[str, str]:
    """Return what goes into each part and what comes out of it, for one token."""
    facts = plan.facts
    stream, neurons, vocabulary = (
        f"{number:,}" for number in (facts.hidden_size, facts.intermediate_size, facts.vocabulary)
    )
    asked, kept = (f"{heads:,} × {facts.head_size:,}" for heads in (facts.heads, facts.kv_heads))
    same = f"{stream} → {stream}"
    both = f"{asked} and {kept}"
    rows = plan.config.padded_vocab_size or facts.vocabulary
    padding = f"; {rows - facts.vocabulary:,} rows are padding" if rows > facts.vocabulary else ""
    return {
        "tokens": "text → ids",
        "embedding": f"1 id → {stream}{padding}",
        **dict.fromkeys(("norm", "first_norm", "second_norm", "last_norm", "backout", "layers"), same),
        **dict.fromkeys(("smear", "residual_mix", "addition"), f"{stream} and {stream} → {stream}"),
        "projections": f"{stream} → {asked}, {kept}, {kept}",
        "value_embedding": f"{stream} and 1 id → {kept}",
        **dict.fromkeys(("rope", "qk_norm"), f"{both} → {both}"),
        "attention": f"{asked}, and {kept} twice for each token seen → {asked}",
        "windows": f"{kept} twice for each token seen, at most {min(plan.windows, default=0):,}",
        "output": f"{asked} → {stream}",
        **dict.fromkeys(("mlp", "mlp_other"), f"{stream} → {neurons} → {stream}"),
        **dict.fromkeys(("head", "head_tied"), f"{stream} → {vocabulary}{padding}"),
        **dict.fromkeys(("softcap", "probabilities"), f"{vocabulary} → {vocabulary}"),
        "next_token": f"{vocabulary} → 1 id",
        "quantized": "whole numbers and scales → weights",
    }


def _numbers(plan: Plan) -> dict[str, int]:
    facts = plan.facts
    layers = len(facts.layers)
    return {
        "vocabulary": facts.vocabulary,
        "hidden": facts.hidden_size,
        "intermediate": facts.intermediate_size,
        "head_size": facts.head_size,
        "heads": facts.heads,
        "layers": layers,
        "control": plan.control_tokens,
        "pairs": facts.head_size // 2,
        "window": min(plan.windows, default=facts.context_tokens),
        "short_layers": len(plan.windows),
        "value_layers": plan.value_layers,
        "halfway": plan.halfway,
        "smear_channels": NanoChatSmear.channels,
        "gate_channels": NanoChatValueEmbedding.channels,
        "largest_gate": NanoChatValueEmbedding.largest_gate,
    }


def _texts(plan: Plan) -> dict[str, str]:
    facts, config = plan.facts, plan.config
    layers, cap = len(facts.layers), config.final_logit_softcapping
    return {
        "activation": plan.activation,
        "cap": f"{cap:g}" if cap else "",
        "sharing": _sharing(plan),
        "bound": f"{config.qk_scale**2 * math.sqrt(facts.head_size):.3g}",
        "rope_base": f"{plan.rope_base:,.0f}",
        "rope_rule": _rope_rule(plan),
        "times": "once" if layers == 1 else f"{layers:,} times",
        "layers_title": "One layer" if layers == 1 else f"{layers:,} layers",
        "kv": size(plan.kv_bytes_a_token),
        "bits": " or ".join(str(bits) for bits in plan.quantized_bits),
    }


def _sharing(plan: Plan) -> str:
    facts = plan.facts
    if facts.heads == facts.kv_heads:
        return "each has keys and values of its own"
    sets = "one set" if facts.kv_heads == 1 else f"{facts.kv_heads:,} sets"
    return f"they share {sets} of keys and values"


def _rope_rule(plan: Plan) -> str:
    """Say so where a checkpoint does not keep to the formula."""
    rule = (plan.config.rope_parameters or {})["rope_type"]
    return "" if rule == "default" else f" This checkpoint stretches the angles by the rule {rule}."


def _formula_pieces(plan: Plan) -> dict[str, str]:
    """Return what stands in formulas as markup: biases where there are some, a scale other than 1, powers of ten."""
    config = plan.config
    pieces = {
        f"bias_{letter}": f"<mo>+</mo><msub><mi>b</mi><mi>{letter.upper()}</mi></msub>" if config.attention_bias else ""
        for letter in "qkvo"
    }
    factor, exponent = f"{config.rms_norm_eps:.6e}".split("e")
    sign = "<mo>−</mo>" if int(exponent) < 0 else ""
    power = f"<msup><mn>10</mn><mrow>{sign}<mn>{abs(int(exponent))}</mn></mrow></msup>"
    times = "" if float(factor) == 1 else f"<mn>{float(factor):g}</mn><mo>·</mo>"
    scale = "" if config.qk_scale == 1 else f'<mn>{config.qk_scale:g}</mn><mspace width="0.1em"/>'
    # In 4 bits a group of weights has a middle of its own; in 8 bits the middle is zero.
    middle = {
        "middle": "<mo>+</mo><mi>c</mi>",
        "middle_words": "<mtext>, </mtext><mi>c</mi><mtext> the middles</mtext>",
    }
    shifted = 4 in plan.quantized_bits
    shift = {name: piece if shifted else "" for name, piece in middle.items()}
    return {**pieces, **shift, "epsilon": times + power, "scale": scale}
