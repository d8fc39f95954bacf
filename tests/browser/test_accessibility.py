"""Nothing on the page shuts out who reads by keyboard, by screen reader or by contrast, as far as axe-core can tell.

Each state of the page that a reader comes by is judged as it stands, in light and dark, on a phone and on a desk. What
is left out below stands in Gradio's own components, which this page cannot change; each has its reason.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.browser.test_page import ask, finished

GRAVE = {"serious", "critical"}
# Rule and what the markup of an element holds, each with what Gradio's chatbot does there.
GRADIOS_OWN = {
    ("aria-required-children", 'class="examples '): "the examples are buttons that stand right in a list",
    ("aria-prohibited-attr", 'data-testid="bot"'): "each message is a div with a label and no role",
    ("aria-prohibited-attr", 'data-testid="user"'): "each message is a div with a label and no role",
    ("nested-interactive", 'role="button" tabindex="0" class="title '): "a panel's title is a button with one in it",
    ("button-name", 'class="icon-button '): "that inner button, an arrow, has no name; the title has one",
}


def findings(page: Page) -> list[str]:
    """Return what is serious or critical on the page as it is now, a line for each element."""
    response: dict[str, Any] = Axe().run(page).response
    return [
        f"{violation['id']} ({violation['impact']}): {violation['help']}: {target}: {node['html'][:200]}"
        for violation in response["violations"]
        if violation["impact"] in GRAVE
        for node in violation["nodes"]
        for target in [" ".join(map(str, node["target"]))]
        if not any(violation["id"] == rule and part in node["html"] for rule, part in GRADIOS_OWN)
    ]


def states(page: Page) -> Iterator[str]:
    """Bring the page from one state to the next, and name it."""
    yield "before the first question"
    page.get_by_text("More settings").click()
    ask(page, "What is 123 * 456?")
    finished(page)
    yield "an answer beside the settings"
    page.get_by_role("tab", name="Model").click()
    page.locator("#model-card .walk").wait_for()
    page.evaluate("document.querySelectorAll('#model-card details').forEach(folded => folded.open = true)")
    yield "the model card"
    page.get_by_role("tab", name="Inside").click()
    page.locator("#inside-tokens button.token").first.click()
    page.locator("#inside-choices table").wait_for()
    for name in ("Layers", "Attention", "MLP", "Arithmetic"):
        page.locator("#side .label-wrap").filter(has_text=name).click()
    page.locator("#side .strip").first.wait_for()
    yield "inside an answer"


STILL = """() => document.getAnimations().every(one =>
  one.playState !== "running" || one.effect.getTiming().iterations === Infinity)"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1440])
def test_axe_finds_nothing_grave(page: Page, width: int, scheme: str) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    page.wait_for_function(f"document.body.classList.contains('dark') === {str(scheme == 'dark').lower()}")
    # Colours fade from one scheme to the other, and half way nothing can be read.
    page.wait_for_function(STILL)
    found = {state: findings(page) for state in states(page)}
    assert not any(found.values()), "\n".join(f"{state}: {line}" for state, lines in found.items() for line in lines)


def test_the_model_card_is_reached_and_read_without_a_mouse(page: Page) -> None:
    page.get_by_role("tab", name="Model").focus()
    page.keyboard.press("Enter")
    page.locator("#model-card .walk").wait_for()
    first, second, last = (page.locator("#model-card summary").nth(place) for place in (0, 1, -1))
    first.focus()
    page.keyboard.press("Tab")
    expect(second).to_be_focused()
    last.focus()
    page.keyboard.press("Tab")
    copy = page.get_by_role("button", name="Copy the SHA-256 of the weights")
    expect(copy).to_be_focused()
    expect(copy).to_have_css("outline-style", "solid")
    page.keyboard.press("Shift+Tab")
    expect(last).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#model-card details").last).to_have_attribute("open", "")
    assert not page.locator("#model-card svg:not([role=img][aria-label])").count()
