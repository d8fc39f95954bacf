"""The controls are the settings."""

from __future__ import annotations

from dataclasses import fields

import gradio as gr

from nanochat.chat.sampling import LIMITS, SamplingSettings
from nanochat.ui.controls import ABOUT, Controls, controls
from tests.ui.awaiting import built


def drawn() -> Controls:
    def draw() -> Controls:
        with gr.Blocks(analytics_enabled=False):
            return controls()

    return built(draw)


def test_there_is_a_control_for_each_setting_in_the_order_of_the_api() -> None:
    assert list(ABOUT) == ["system_prompt", *(field.name for field in fields(SamplingSettings))]
    assert [control.label for control in drawn().inputs] == [name.replace("_", " ").capitalize() for name in ABOUT]


def test_sliders_begin_at_the_defaults_and_end_at_the_limits() -> None:
    for name, control in zip(ABOUT, drawn().inputs, strict=True):
        if isinstance(control, gr.Slider):
            assert control.value == getattr(SamplingSettings(), name)
            assert control.maximum == LIMITS[name].highest
            for end in (control.minimum, control.maximum):
                SamplingSettings(**{name: end})


def test_a_new_page_asks_for_nothing_special() -> None:
    system_prompt, *sampling = [control.preprocess(control.value) for control in drawn().inputs]
    assert not system_prompt
    assert SamplingSettings(*sampling) == SamplingSettings()


def test_every_control_says_what_it_does() -> None:
    for name, control in zip(ABOUT, drawn().inputs, strict=True):
        assert control.info == ABOUT[name]
