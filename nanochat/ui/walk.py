"""The way of a token through the loaded model, part by part, in the order in which the parts are passed.

The words and the formula of a part stand in the folder `walk`, a file for each; here stands which parts a model has,
which of its tensors belong to each, and how each is drawn. A part that a model has not is left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from pathlib import Path
from string import Template

from nanochat.model.facts import TensorFacts
from nanochat.ui import walk_blocks, walk_ends, walk_sketches
from nanochat.ui.parameter_tree import shape_text
from nanochat.ui.plan import Plan
from nanochat.ui.walk_words import flows, words

FOLDER = Path(__file__).parent / "walk"


def _always(_: Plan) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the way: the file of its words, its picture, its tensors by a pattern of their names, and whether a
    model has it.
    """

    name: str
    draw: Callable[[Plan], str]
    tensors: str = "(?!)"
    present: Callable[[Plan], bool] = _always

    def owns(self, tensor: TensorFacts) -> bool:
        return re.search(self.tensors, tensor.name) is not None


ENTRANCE = (
    Part("tokens", walk_ends.tokens),
    Part("embedding", walk_ends.embedding, r"^model\.embed_tokens\."),
    Part("norm", walk_sketches.norm),
    Part("smear", walk_sketches.smear, r"^model\.smear\.", lambda plan: plan.config.smear),
)
LAYER = (
    Part("residual_mix", walk_sketches.mix, r"\.residual_mix\.", lambda plan: plan.config.residual_lambdas),
    Part("first_norm", walk_sketches.copied),
    Part("projections", walk_blocks.projections, r"\.self_attn\.[qkv]_proj\."),
    Part(
        "value_embedding", walk_blocks.value_layers, r"\.value_embedding\.", lambda plan: plan.config.value_embeddings
    ),
    Part("rope", walk_blocks.dials),
    Part("qk_norm", walk_blocks.same_size),
    Part("attention", walk_blocks.triangle),
    Part("windows", walk_blocks.reaches, present=lambda plan: bool(plan.windows)),
    Part("output", walk_blocks.joined_heads, r"\.self_attn\.o_proj\."),
    Part("second_norm", walk_sketches.copied),
    Part("mlp", walk_blocks.mlp, r"\.mlp\.fc[12]\.", lambda plan: plan.config.hidden_act == "relu2"),
    Part("mlp_other", walk_blocks.mlp, r"\.mlp\.fc[12]\.", lambda plan: plan.config.hidden_act != "relu2"),
    Part("addition", walk_sketches.addition),
)
EXIT = (
    Part("layers", walk_ends.layers),
    Part("backout", walk_ends.backout, r"^model\.backout\.", lambda plan: plan.config.backout),
    Part("last_norm", walk_sketches.ended),
    Part("head", walk_ends.head, r"^lm_head\.", lambda plan: not plan.config.tie_word_embeddings),
    Part("head_tied", walk_ends.head, r"^lm_head\.", lambda plan: plan.config.tie_word_embeddings),
    Part("softcap", walk_ends.softcap, present=lambda plan: bool(plan.config.final_logit_softcapping)),
    Part("probabilities", walk_sketches.probabilities),
    Part("next_token", walk_ends.next_token),
    Part("quantized", walk_ends.quantized, present=lambda plan: bool(plan.quantized_bits)),
)


def parts(plan: Plan) -> dict[str, tuple[Part, ...]]:
    """Return the parts this model has, under the titles of the three stages of the way."""
    layers = len(plan.facts.layers)
    stages = {"Into the model": ENTRANCE, "In the layer" if layers == 1 else f"In each of the {layers} layers": LAYER}
    stages["Out of the model"] = EXIT
    return {title: tuple(part for part in stage if part.present(plan)) for title, stage in stages.items()}


def walk_html(plan: Plan) -> str:
    """Return the whole way, its parts numbered through."""
    values, passing = words(plan), flows(plan)
    html, number = [], 1
    for title, stage in parts(plan).items():
        items = "".join(_item(part, plan, values, passing[part.name]) for part in stage)
        inner = ' class="inner"' if stage[0] in LAYER else ""
        html.append(f'<h2 class="stage">{title}</h2><ol start="{number}"{inner}>{items}</ol>')
        number += len(stage)
    return "".join(html)


def shapes_html(part: Part, plan: Plan, passing: str) -> str:
    """Return what passes a part and, for each of its tensors, the shape it has; equal ones of many layers once."""
    counted: dict[tuple[str, str], int] = {}
    for tensor in plan.facts.tensors:
        if part.owns(tensor):
            key = (_short_name(tensor.name), f"{shape_text(tensor.shape)} {tensor.dtype}")
            counted[key] = counted.get(key, 0) + 1
    items = "".join(
        f"<li><code>{escape(name)}</code> {escape(shape)}{f', {count} times' if count > 1 else ''}</li>"
        for (name, shape), count in counted.items()
    )
    return f'<ul class="shapes"><li>{passing}{"" if counted else "; no weights"}</li>{items}</ul>'


def _item(part: Part, plan: Plan, values: dict[str, str], passing: str) -> str:
    text = Template((FOLDER / f"{part.name}.html").read_text())
    drawn = text.substitute(values, drawing=part.draw(plan), shapes=shapes_html(part, plan, passing))
    return f'<li id="walk-{part.name}">{drawn}</li>'


def _short_name(name: str) -> str:
    """Return the name within its layer, or within the model: q_proj.weight, embed_tokens.weight."""
    return re.sub(r"^(model\.)?(layers\.\d+\.)?(self_attn\.|mlp\.)?", "", name)
