"""Colours and letters: warm paper and ink, one accent, and the fonts that Gradio serves itself.

A theme that names Google's fonts would send every visitor there; these come from this server.
"""

from __future__ import annotations

from gradio.themes import Base, Color
from gradio.themes.utils.fonts import LocalFont

_SIENNA = Color(
    "#fdf4ef", "#fae4d8", "#f3c6af", "#eaa482", "#de8257", "#b4562e", "#9f4824", "#843b1d", "#6c3119", "#572916",
    "#33170c", name="sienna",
)  # fmt: skip
_STONE = Color(
    "#fbf9f5", "#f4f0e9", "#e6dfd4", "#d1c8ba", "#a79c8d", "#7a7064", "#5c534a", "#443d36", "#2b2723", "#1f1c19",
    "#171411", name="stone",
)  # fmt: skip

_LIGHT = {
    "body_background_fill": "*neutral_50",
    "body_text_color": "*neutral_900",
    "body_text_color_subdued": "*neutral_500",
    "background_fill_primary": "white",
    "background_fill_secondary": "*neutral_100",
    "border_color_primary": "*neutral_200",
    "block_background_fill": "transparent",
    "block_label_text_color": "*neutral_600",
    "block_title_text_color": "*neutral_800",
    "block_info_text_color": "*neutral_500",
    "input_background_fill": "white",
    "input_border_color": "*neutral_300",
    "slider_color": "*primary_500",
    "color_accent": "*primary_500",
    "color_accent_soft": "*primary_50",
    "link_text_color": "*primary_600",
    "button_primary_background_fill": "*primary_500",
    "button_primary_background_fill_hover": "*primary_600",
    "button_primary_text_color": "white",
    "button_secondary_background_fill": "*neutral_100",
    "button_secondary_background_fill_hover": "*neutral_200",
    "button_secondary_text_color": "*neutral_800",
    "code_background_fill": "*neutral_100",
}
_DARK = {
    "body_background_fill": "*neutral_950",
    "body_text_color": "*neutral_100",
    "body_text_color_subdued": "*neutral_400",
    "background_fill_primary": "*neutral_900",
    "background_fill_secondary": "*neutral_800",
    "border_color_primary": "*neutral_700",
    "block_background_fill": "transparent",
    "block_label_text_color": "*neutral_300",
    "block_title_text_color": "*neutral_100",
    "block_info_text_color": "*neutral_400",
    "input_background_fill": "*neutral_900",
    "input_border_color": "*neutral_700",
    "slider_color": "*primary_400",
    "color_accent_soft": "*primary_950",
    "link_text_color": "*primary_300",
    "button_primary_background_fill": "*primary_500",
    "button_primary_background_fill_hover": "*primary_600",
    "button_primary_text_color": "white",
    "button_secondary_background_fill": "*neutral_800",
    "button_secondary_background_fill_hover": "*neutral_700",
    "button_secondary_text_color": "*neutral_100",
    "code_background_fill": "*neutral_800",
}


def theme() -> Base:
    """Return the theme of the page, light and dark; what it cannot say stands in style.css."""
    base = Base(
        primary_hue=_SIENNA,
        secondary_hue=_SIENNA,
        neutral_hue=_STONE,
        # Not the usual 600: the semibold files that Gradio serves lack half the alphabet.
        font=(LocalFont("IBM Plex Sans", weights=(400, 700)), "system-ui", "sans-serif"),
        font_mono=(LocalFont("IBM Plex Mono", weights=(400, 700)), "ui-monospace", "monospace"),
    )
    return base.set(**_LIGHT, **{f"{name}_dark": value for name, value in _DARK.items()})
