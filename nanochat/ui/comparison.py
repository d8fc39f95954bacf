"""This model beside GPT-2 and Llama 3: what is the same, what is simpler, what is its own. Values in, HTML out.

The column of this model is read from its config; equal words mean an equal thing, and what is in brackets is not
compared.

Sources: GPT-2 is openai/gpt-2, src/model.py and src/encoder.py (Radford and others, 2019, "Language Models are
Unsupervised Multitask Learners"); Llama 3 is "The Llama 3 Herd of Models" (2024, arXiv 2407.21783), section 3.2 and
table 3, its smallest model in brackets. LayerNorm: arXiv 1607.06450. RMSNorm: 1910.07467. SwiGLU: 2002.05202. Shared
keys and values: 2305.13245.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

from nanochat.ui.amounts import short
from nanochat.ui.plan import Plan


@dataclass(frozen=True, slots=True)
class Cell:
    """What a model has; `detail` is told but not compared."""

    what: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """One subject; `simpler` says what to call it where neither of the others has the same."""

    subject: str
    ours: Cell
    gpt2: Cell
    llama: Cell
    simpler: bool = False

    @property
    def verdict(self) -> str:
        same = [name for name, cell in (("GPT-2", self.gpt2), ("Llama", self.llama)) if cell.what == self.ours.what]
        if len(same) == 2:
            return "the same in all"
        return f"as {same[0]}" if same else "simpler" if self.simpler else "its own"


_BEFORE = Cell("before each part and at the end")
_ALL_BEFORE = Cell("all tokens before")
_AS_THEY_ARE = Cell("as they are")
_SEPARATE = "each head has its own"


def comparison(plan: Plan) -> tuple[Row, ...]:
    """Return the rows in the order a token meets their subjects."""
    return (*_norms_and_places(plan), *_attention(plan), *_mlp(plan), *_exit(plan), *_additions(plan))


def comparison_html(plan: Plan) -> str:
    """Return the table, with a line above each row that names its subject."""
    body = "".join(_row(subject, "", cells) for subject, cells in _sizes(plan).items()) + "".join(
        _row(row.subject, row.verdict, (_cell(row.ours), _cell(row.gpt2), _cell(row.llama))) for row in comparison(plan)
    )
    return (
        '<table class="beside"><thead><tr><th scope="col">This model</th><th scope="col">GPT-2</th>'
        f'<th scope="col">Llama 3</th></tr></thead><tbody>{body}</tbody></table>'
    )


def _sizes(plan: Plan) -> dict[str, tuple[str, str, str]]:
    """How large they are, which is no matter of kind."""
    facts = plan.facts
    return {
        "Parameters": (short(facts.parameters), "124 million to 1.5 billion", "8 to 405 billion"),
        "Vocabulary": (f"{facts.vocabulary:,}", "50,257", "128,256"),
        "Context": (f"{facts.context_tokens:,}", "1,024", "8,192 <small>(3.1: 131,072)</small>"),
    }


def _norms_and_places(plan: Plan) -> tuple[Row, ...]:
    base, rule = plan.rope_base, (plan.config.rope_parameters or {})["rope_type"]
    rope = Cell("turned by RoPE", f"base {base:,.0f}" + ("" if rule == "default" else f", {rule}"))
    return (
        Row("Positions", rope, Cell("a learned table"), Cell("turned by RoPE", "base 500,000")),
        Row(
            "Norm",
            Cell("RMSNorm without weights"),
            Cell("LayerNorm with weights and biases"),
            Cell("RMSNorm with weights"),
            simpler=True,
        ),
        Row("Norms stand", Cell("after the embedding, before each part and at the end"), _BEFORE, _BEFORE),
    )


def _attention(plan: Plan) -> tuple[Row, ...]:
    facts = plan.facts
    separate = facts.heads == facts.kv_heads
    groups = Cell(_SEPARATE if separate else "shared in groups", f"{facts.heads} heads, {facts.kv_heads} for these")
    windows = plan.windows
    few = Cell(f"the newest {min(windows):,} in {len(windows)} layers, all in the others") if windows else _ALL_BEFORE
    scale = plan.config.qk_scale
    size = Cell("scaled to one size", "after RoPE" + (f", times {scale:g}" if scale != 1 else ""))
    return (
        Row("Queries and keys", size, _AS_THEY_ARE, _AS_THEY_ARE),
        Row("Keys and values", groups, Cell(_SEPARATE), Cell("shared in groups", "32 heads, 8 for these")),
        Row("A token sees", few, _ALL_BEFORE, _ALL_BEFORE),
    )


def _mlp(plan: Plan) -> tuple[Row, ...]:
    facts, activation = plan.facts, plan.activation
    wide = Cell("two matrices", f"{facts.intermediate_size / facts.hidden_size:.3g} times as wide")
    gated = Cell("three matrices", "one is a gate; 3.5 times as wide")
    biases = Cell("in attention" if plan.config.attention_bias else "none")
    return (
        Row("MLP", wide, Cell("two matrices", "4 times as wide"), gated),
        Row("Activation", Cell(activation), Cell("GELU"), Cell("SiLU"), simpler=activation == "relu²"),
        Row("Biases", biases, Cell("in every matrix but the tables"), Cell("none")),
    )


def _exit(plan: Plan) -> tuple[Row, ...]:
    config = plan.config
    tied, own = Cell("the embedding, once more"), Cell("a table of its own")
    cap = config.final_logit_softcapping
    scores = Cell(f"bent to stay within ±{cap:g}") if cap else _AS_THEY_ARE
    return (
        Row("Head", tied if config.tie_word_embeddings else own, tied, own),
        Row("Scores", scores, _AS_THEY_ARE, _AS_THEY_ARE),
    )


def _additions(plan: Plan) -> tuple[Row, ...]:
    named = [name for name in plan.facts.additions if name != "sliding windows"]
    return (Row("Besides", Cell(", ".join(named)), Cell("nothing"), Cell("nothing")),) if named else ()


def _row(subject: str, verdict: str, cells: tuple[str, str, str]) -> str:
    said = f" <small>{verdict}</small>" if verdict else ""
    line = f'<tr class="subject"><th scope="rowgroup" colspan="3">{subject}{said}</th></tr>'
    return line + "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _cell(cell: Cell) -> str:
    return escape(cell.what) + (f" <small>({escape(cell.detail)})</small>" if cell.detail else "")
