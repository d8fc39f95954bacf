"""Tokens as chips, and what might have stood in the place of one: values in, HTML out.

How likely a token was is told three ways, so that no colour has to be told from another: by the chip's tint, by its
underline, and in words. Chips are one stop for the Tab key; arrow keys move among them (inspector.js).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from nanochat.lens.choices import Choice, Choices

# Least probability and name of each kind of chip, best first; styled in inspector.css.
LEVELS = ((0.9, "sure"), (0.5, "likely"), (0.2, "open"), (0.05, "unlikely"), (0.0, "surprising"))
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
        return next(name for least, name in LEVELS if self.probability >= least)


def chips_html(prompt: Sequence[Chip], answer: Sequence[Chip], selected: int | None = None) -> str:
    """Return the answer's tokens as buttons, those of the prompt folded away above them."""
    if not answer:
        return '<p class="inside-note">Ask something: each token of the answer will appear here, to be clicked.</p>'
    stop = selected if selected in {chip.place for chip in answer} else answer[0].place
    given = "".join(
        f'<span class="token given" title="{text_html(about(chip))}">{_text(chip)}</span>' for chip in prompt
    )
    return (
        f'<details class="prompt-tokens"><summary>The prompt: {_count(len(prompt), "token")}</summary>'
        f'<p class="tokens">{given}</p></details>'
        '<div class="tokens" role="toolbar" aria-label="Tokens of the answer">'
        + "".join(_button(chip, selected, stop) for chip in answer)
        + f"</div>{_legend()}"
    )


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
    heads = ["#", "Token", "Model", "Drawn", *(['<span class="sr-only">Continue</span>'] if branching else [])]
    return (
        f'<p class="inside-note">Surprise {choices.surprise_bits:.2f} bits; {choices.entropy_bits:.2f} were to be '
        f"expected. The settings leave {_count(choices.left, 'candidate')}.</p>" + table_html("Candidates", heads, rows)
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


def _button(chip: Chip, selected: int | None, stop: int) -> str:
    pressed = "true" if chip.place == selected else "false"
    words = text_html(about(chip))
    return (
        f'<button type="button" class="token {chip.level}" data-place="{chip.place}" aria-pressed="{pressed}" '
        f'tabindex="{0 if chip.place == stop else -1}" title="{words}" aria-label="{words}">{_text(chip)}</button>'
    )


def _text(chip: Chip) -> str:
    """Return the text as it stands in the answer; blanks at its edges are kept by the style sheet."""
    return text_html(chip.name.translate(_BREAKS)) or "∅"


def _legend() -> str:
    texts = {"sure": "≥ 90 %", "likely": "≥ 50 %", "open": "≥ 20 %", "unlikely": "≥ 5 %", "surprising": "below"}
    items: Iterable[tuple[str, str]] = [*texts.items(), ("forced", "calculator")]
    return (
        '<p class="token-legend">'
        + "".join(f'<span class="token {level}">{text}</span>' for level, text in items)
        + "</p>"
    )


def _choice(choice: Choice, name: str, branching: bool) -> str:
    state = " ".join(word for word, holds in (("chosen", choice.chosen), ("excluded", choice.excluded)) if holds)
    drawn = "excluded" if choice.excluded else percent(choice.drawn_probability)
    mark = '<span class="sr-only"> (chosen)</span>' if choice.chosen else ""
    action = ""
    if branching:
        words = text_html(f"Continue from here with {marked(name)}")
        action = (
            f'<td><button type="button" class="branch" data-id="{choice.id}" title="{words}" aria-label="{words}">'
            "↳</button></td>"
        )
    width = max(1, math.ceil(100 * choice.probability))
    return (
        f'<tr class="{state}"><td>{choice.rank}</td><th scope="row">{code(name)}{mark}</th>'
        f'<td><span class="bar" style="width:{width}%"></span>{percent(choice.probability)}</td>'
        f"<td>{drawn}</td>{action}</tr>"
    )


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")
