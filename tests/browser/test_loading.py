"""A model that cannot be loaded: the page says why, and loads it once it can."""

from __future__ import annotations

import shutil
from pathlib import Path

from playwright.sync_api import Browser, expect

from tests.browser.test_page import ask, finished
from tests.serving import app


def test_a_failed_load_is_told_and_tried_again(browser: Browser, tiny_checkpoint: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_checkpoint, folder)
    weights = folder / "model.safetensors"
    weights.rename(folder / "elsewhere")
    with app(tmp_path / "log.txt", model=str(folder)) as server:
        page = browser.new_page()
        page.goto(server.url)
        expect(page.locator(".status.failed [role=alert]")).to_contain_text("model.safetensors", timeout=60_000)
        # The page that comes says so already; its button comes with the script that sends questions.
        page.get_by_role("button", name="Try again").wait_for()
        # A question is refused in the same words, and is not lost.
        page.locator("#question textarea").fill("Hello")
        page.locator("#question textarea").press("Enter")
        expect(page.locator(".toast-body.error")).to_contain_text("cannot be loaded", timeout=30_000)
        expect(page.locator("#question textarea")).to_have_value("Hello")
        (folder / "elsewhere").rename(weights)
        page.get_by_role("button", name="Try again").click()
        expect(page.locator(".status.ready")).to_contain_text("parameters", timeout=60_000)
        expect(page.get_by_role("button", name="Try again")).to_be_hidden()
        ask(page, "Hello")
        finished(page)
        page.close()
        assert "Traceback" not in server.log
