"""Tokens as chips, and what might have stood in the place of one: values in, HTML out.

How likely a token was is told three ways, so that no colour has to be told from another: by the chip's tint, by its
underline, and in words. Chips are one stop for the Tab key; arrow keys move among them. Which chip is pressed only the
browser knows (inspector.js), so a drawing that arrives late cannot press another one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from nanochat.lens.choices import Choice, Choices

# Least probability, name and words of each kind of chip, best first; styled in inspector.css.
LEVELS = (
    (0.9, "sure", "90 % or more"),
    (0.5, "likely", "50 %"),
    (0.2, "open", "20 %"),
    (0.05, "unlikely", "5 %"),
    (0.0, "surprising", "less"),
)
# A chip is about 150 bytes; the oldest of a longer text are counted and not drawn.
MOST_CHIPS = 1_000
_BREAKS = str.maketrans({"\n": "↵", "\t": "⇥"})
_MARKS = str.maketrans({"\n": "↵", "\t": "⇥", "\r": "␍", " ": "·"})


@dataclass(frozen=True, slots=True)
class Chip:
    """A token to show: `place` counts from the first token of the prompt; no `probability` means it was not chosen."""

    place: int
    id: int
    name: str
    spelled: bytes
    probability: float | None = None
    forced: bool = False

    @property
    def level(self) -> str:
        if self.forced:
            return "forced"
        if self.probability is None:
            return "given"
        return next(name for least, name, _ in LEVELS if self.probability >= least)


def prompt_html(chips: Sequence[Chip], answer: str = "") -> str:
    """Return the prompt's tokens folded away; `answer` is the name of the answer that they led to."""
    if not chips:
        return ""
    return (
        f'<details class="prompt-tokens"><summary>The prompt, as it was sent: {_count(len(chips), "token")}</summary>'
        f"{_toolbar('Tokens of the prompt', chips, answer)}</details>"
    )


def chips_html(chips: Sequence[Chip], answer: str = "", *, ended: bool = False) -> str:
    """Return an answer's tokens as buttons and what their looks mean; `answer` is its name, `ended` if it is whole."""
    if not chips:
        return '<p class="inside-note">Ask something: each token of the answer will appear here, to be clicked.</p>'
    return f"{_toolbar('Tokens of the answer', chips, answer, ended)}{_legend(any(chip.forced for chip in chips))}"


def about(chip: Chip) -> str:
    """Say in one line what a token is: its text, id and bytes, and how likely it was."""
    spelled = chip.spelled.hex(" ") or "none"
    line = f"{marked(chip.name)} · id {chip.id} · bytes {spelled}"
    if chip.forced:
        return f"{line} · put in by the calculator"
    return line if chip.probability is None else f"{line} · {percent(chip.probability)}"


def choices_html(choices: Choices, names: Sequence[str], *, branching: bool) -> str:
    """Return the candidates as a table; where `branching`, each has a button that continues the answer with it."""
    rows = "".join(_choice(choice, name, branching) for choice, name in zip(choices.shown, names, strict=True))
    heads = ["#", "Token", "Model", "Settings", *(['<span class="sr-only">Continue</span>'] if branching else [])]
    goes_on = " ↳ continues the answer with that token instead." if branching else ""
    return (
        f'<p class="inside-note">Surprise {choices.surprise_bits:.2f} bits, where {choices.entropy_bits:.2f} were '
        f"expected: each bit halves a probability. <em>Model</em> is what the model gave a token; <em>Settings</em> "
        f"what temperature, top-k, top-p and penalty made of it: they leave {_count(choices.left, 'candidate')} to "
        f"draw from.{goes_on}</p>" + table_html("Candidates", heads, rows)
    )


def table_html(label: str, heads: Sequence[str], rows: str, style: str = "") -> str:
    """Return a table that scrolls for itself, by keyboard too, where the column is too narrow for it."""
    columns = "".join(f'<th scope="col">{head}</th>' for head in heads)
    return (
        f'<div class="inside-scroll" tabindex="0" role="region" aria-label="{label}">'
        f'<table class="inside-table {style}"><thead><tr>{columns}</tr></thead><tbody>{rows}</tbody></table></div>'
    )


def note_html(text: str) -> str:
    """Return a sentence to the reader."""
    return f'<p class="inside-note">{text_html(text)}</p>'


def code(name: str) -> str:
    """Return a token's name as it stands in a table."""
    return f"<code>{text_html(marked(name))}</code>"


def text_html(text: str) -> str:
    """Escape a text for HTML, and the characters that open a placeholder in Gradio's templates."""
    return escape(text).replace("{", "&#123;").replace("$", "&#36;")


def marked(name: str) -> str:
    """Return a token's name with its blanks made visible."""
    return name.translate(_MARKS) or "(nothing)"


def percent(probability: float) -> str:
    """Return a probability as a reader compares it."""
    if probability and probability < 0.0001:
        return "< 0.01 %"
    digits = 0 if probability >= 0.1 else 1 if probability >= 0.01 else 2
    return f"{100 * probability:.{digits}f} %"


def _toolbar(label: str, chips: Sequence[Chip], answer: str, ended: bool = False) -> str:
    left_out = len(chips) - MOST_CHIPS
    older = f'<p class="inside-note">{_count(left_out, "older token")} not shown.</p>' if left_out > 0 else ""
    shown = chips[-MOST_CHIPS:]
    buttons = "".join(_button(chip, 0 if chip is shown[0] else -1) for chip in shown)
    names = f'aria-label="{label}" data-answer="{answer}"' + (' data-ended=""' if ended else "")
    return f'{older}<div class="tokens" role="toolbar" {names}>{buttons}</div>'


def _button(chip: Chip, tabindex: int) -> str:
    return (
        f'<button class="token {chip.level}" data-place="{chip.place}" aria-pressed="false" tabindex="{tabindex}" '
        f'title="{text_html(about(chip))}">{_text(chip)}</button>'
    )


def _text(chip: Chip) -> str:
    """Return the text as it stands in the answer; blanks at its edges are kept by the style sheet."""
    return text_html(chip.name.translate(_BREAKS)) or "∅"


def _legend(forced: bool) -> str:
    items = [(name, words) for _, name, words in LEVELS] + ([("forced", "calculator")] if forced else [])
    chips = "".join(f'<span class="token {level}">{text}</span>' for level, text in items)
    return (
        '<p class="inside-note">Click a token, here or in the prompt, to see how it came to stand there. Its look says '
        f'how likely it was to the model:</p><p class="token-legend">{chips}</p>'
    )


def _choice(choice: Choice, name: str, branching: bool) -> str:
    state = " ".join(word for word, holds in (("chosen", choice.chosen), ("excluded", choice.excluded)) if holds)
    drawn = "excluded" if choice.excluded else percent(choice.drawn_probability)
    mark = '<span class="sr-only"> (chosen)</span>' if choice.chosen else ""
    action = ""
    if branching:
        action = (
            f'<td><button class="branch" data-id="{choice.id}" '
            f'title="{text_html(f"Continue from here with {marked(name)}")}">↳</button></td>'
        )
    return (
        f'<tr class="{state}"><td>{choice.rank:,}</td><th scope="row">{code(name)}{mark}</th>'
        f'<td><span class="bar" style="width:{100 * choice.probability:.1f}%"></span>{percent(choice.probability)}</td>'
        f'<td><span class="bar" style="width:{100 * choice.drawn_probability:.1f}%"></span>{drawn}</td>{action}</tr>'
    )


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")
