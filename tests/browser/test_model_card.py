"""The model card as a reader has it, in Chromium, of the embedded model."""

from __future__ import annotations

import json

import pytest
from playwright.sync_api import Page

from nanochat.model.checkpoint import PRETRAINED

WIDER_THAN_ITS_PLACE = """() => [...document.querySelectorAll("#model-card, #model-card *")]
  .filter(element => element.clientWidth && element.scrollWidth > element.clientWidth + 1)
  .map(element => element.outerHTML.slice(0, 200))"""


def opened(page: Page) -> None:
    page.get_by_role("tab", name="Model").click()
    page.locator("#model-card .walk").wait_for()


@pytest.mark.parametrize("width", [360, 1440])
def test_no_formula_drawing_or_table_is_wider_than_its_place(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    opened(page)
    page.evaluate("document.querySelectorAll('#model-card details').forEach(folded => folded.open = true)")
    assert page.evaluate(WIDER_THAN_ITS_PLACE) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_formulas_are_drawn_as_formulas(page: Page) -> None:
    opened(page)
    formulas = page.locator("#model-card math")
    assert formulas.count() >= 18
    spaces = formulas.evaluate_all("all => all.map(formula => formula.namespaceURI)")
    assert set(spaces) == {"http://www.w3.org/1998/Math/MathML"}
    # A fraction stands higher than a line of text.
    heights = page.locator("#walk-norm mfrac").evaluate_all(
        "all => all.map(each => each.getBoundingClientRect().height)"
    )
    assert min(heights[:1]) > 30


def test_the_shapes_on_the_page_are_those_of_the_embedded_model(page: Page) -> None:
    opened(page)
    config = json.loads((PRETRAINED / "config.json").read_text())
    table = f"{config['vocab_size']:,} × {config['hidden_size']:,}"
    assert f"embed_tokens.weight {table}" in page.locator("#walk-embedding .shapes").inner_text()
    # In int8, as a processor serves it.
    assert f"lm_head.numbers {table} int8" in page.locator("#walk-head .shapes").inner_text()


def test_the_checksum_goes_to_the_clipboard(page: Page) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    opened(page)
    button = page.get_by_role("button", name="Copy the SHA-256 of the weights")
    button.click()
    page.wait_for_function("document.querySelector('#model-card .copy').textContent === 'Copied'")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert len(copied) == 64
    assert copied == page.locator("#model-card .origin code").get_attribute("title")


def test_a_link_leads_to_its_chapter(page: Page) -> None:
    opened(page)
    page.get_by_role("link", name="Every parameter").click()
    page.wait_for_function("document.querySelector('#card-tree').getBoundingClientRect().top < innerHeight")
