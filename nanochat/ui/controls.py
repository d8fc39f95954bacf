"""The settings of an answer: their names, words and ranges, for the page's controls and the API's parameters alike."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import gradio as gr

from nanochat.chat.sampling import LIMITS, SamplingSettings
from nanochat.ui.guards import EmptyNumber, SettingSlider
from nanochat.ui.help_lists import help_html

DEFAULTS = SamplingSettings()

ABOUT = {
    "system_prompt": "What the model is told before the first question; it reads it as the beginning of that question.",
    "temperature": "0 always takes the most probable token; higher is more varied.",
    "top_k": "Draw from this many of the most probable tokens; 0 is no limit.",
    "top_p": "Draw from the most probable tokens that together have this probability; 1 is all of them.",
    "repetition_penalty": "Makes tokens less probable that are in the chat already; 1 is off.",
    "max_tokens": "An answer is cut after this many tokens, or earlier when the context is full.",
    "seed": "The same seed, chat and settings give the same answer. Left empty, each answer draws its own.",
}
"""Every setting in the order in which page, API and command line name them."""

PREFILL_ABOUT = "The model goes on from these words of yours, in each answer. Left empty, it begins by itself."

_STEPS = {"temperature": 0.05, "top_p": 0.01, "repetition_penalty": 0.05}


def sampling(values: dict[str, Any]) -> SamplingSettings:
    """Return the settings of a call from values by name. Raises InvalidSettingError."""
    return SamplingSettings(**{field.name: values[field.name] for field in fields(SamplingSettings)})


@dataclass(frozen=True, slots=True)
class Controls:
    """The page's controls in the order of `ABOUT`, and the field for the first words of an answer."""

    inputs: tuple[gr.components.Component, ...]
    prefill: gr.components.Component

    @property
    def by_name(self) -> dict[str, gr.components.Component]:
        return dict(zip(ABOUT, self.inputs, strict=True)) | {"prefill": self.prefill}

    @property
    def max_tokens(self) -> gr.components.Component:
        return self.inputs[list(ABOUT).index("max_tokens")]


def controls() -> Controls:
    """Draw the controls where the caller stands; the less used ones are folded away."""
    drawn: dict[str, gr.components.Component] = {name: _slider(name) for name in ("temperature", "max_tokens")}
    with gr.Accordion("More settings", open=False):
        drawn["system_prompt"] = gr.Textbox(
            label="System prompt", info=ABOUT["system_prompt"], lines=3, max_lines=8, placeholder="You are …"
        )
        prefill = gr.Textbox(
            label="Begin the answer with", info=PREFILL_ABOUT, lines=1, max_lines=4, placeholder="Once upon a time"
        )
        drawn |= {name: _slider(name) for name in ("top_k", "top_p", "repetition_penalty")}
        drawn["seed"] = EmptyNumber(label="Seed", info=ABOUT["seed"], value=None)
    with gr.Accordion("Commands and keys", open=False):
        gr.HTML(help_html(), apply_default_css=False, padding=False)
    return Controls(tuple(drawn[name] for name in ABOUT), prefill)


def _slider(name: str) -> gr.Slider:
    allowed = LIMITS[name]
    step = _STEPS.get(name, 1)
    return SettingSlider(
        minimum=step if allowed.above_lowest else allowed.lowest,
        maximum=allowed.highest,
        value=getattr(DEFAULTS, name),
        step=step,
        label=name.replace("_", " ").capitalize(),
        info=ABOUT[name],
    )
