"""Several models on one page: a visitor chooses, and each answers in its own words."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.test_page import ask, finished
from tests.serving import Server, app


@pytest.fixture(scope="module")
def server(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    models = f"Shipped=embedded,Tiny={tiny_checkpoint}"
    with app(tmp_path_factory.mktemp("models") / "log.txt", models=models) as running:
        yield running


def choose(page: Page, name: str) -> None:
    page.locator("#model-choice input").click()
    page.get_by_role("option", name=name).click()
    expect(page.locator("#model-choice input")).to_have_value(name)


def test_another_model_is_chosen_shown_and_asked(page: Page, tiny_checkpoint: Path) -> None:
    page.get_by_role("tab", name="Inside").click()
    ask(page, "What is the capital of France?")
    finished(page)
    expect(page.locator("#inside-tokens button").first).to_be_visible()
    choose(page, "Tiny")
    expect(page.locator(".status.ready")).to_contain_text(tiny_checkpoint.name)
    # What was seen inside the first model is not looked at with the second.
    expect(page.locator("#inside-tokens button")).to_have_count(0)
    page.get_by_role("tab", name="Model").click()
    expect(page.locator("#model-card")).to_contain_text(str(tiny_checkpoint))
    # The chat stays, and the other model goes on with it.
    expect(page.locator(".bot-row")).to_contain_text("Paris")
    ask(page, "And of Italy?")
    finished(page)
    choose(page, "Shipped")
    expect(page.locator(".status.ready")).to_contain_text("the embedded model")
    ask(page, "What is 2 + 2?")
    finished(page)
    expect(page.locator(".bot-row")).to_have_count(3)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1440])
def test_the_choice_fits_beside_the_name(page: Page, width: int, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 800})
    choice = page.locator("#model-choice").bounding_box()
    name = page.locator(".status h1").bounding_box()
    assert choice
    assert name
    assert choice["x"] + choice["width"] <= width
    assert name["x"] + name["width"] <= choice["x"]
    assert page.evaluate("document.documentElement.scrollWidth") <= width
