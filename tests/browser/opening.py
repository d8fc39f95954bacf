"""Opening the page as a person does: who looks first and acts then."""

from __future__ import annotations

from playwright.sync_api import Page

# Gradio draws a part of the page anew in its first moments, and what a script typed there meanwhile is gone.
_AT_REST = """() => new Promise((resolve) => {
  let rest;
  const observer = new MutationObserver(() => wait());
  const wait = () => {
    clearTimeout(rest);
    rest = setTimeout(() => { observer.disconnect(); resolve(); }, 250);
  };
  observer.observe(document.body, { subtree: true, childList: true, attributes: true, characterData: true });
  wait();
})"""


def opened(page: Page, url: str) -> None:
    """Open the page and wait until the model is there and nothing on the page changes any more."""
    page.goto(url)
    page.locator("#question textarea").wait_for()
    page.locator(".status.ready").wait_for()
    page.evaluate(_AT_REST)
