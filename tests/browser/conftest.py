"""A real browser before the real program with the embedded model.

One server and one browser serve all tests; each test has a browser profile of its own, so no chat of another one.
Whatever the page writes to the console as an error, and whatever it asks of another host, fails the test.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, sync_playwright

from tests.browser.opening import opened
from tests.serving import Server, app

QUIET = [
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-sync",
    "--no-first-run",
]
PATIENCE_MILLISECONDS = 60_000


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    executable = shutil.which("chromium")
    if executable is None:
        reason = "chromium is not installed (Debian: apt-get install chromium)"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=executable, args=QUIET)
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with app(tmp_path_factory.mktemp("browser") / "log.txt") as running:
        yield running


@pytest.fixture
def page(browser: Browser, server: Server) -> Iterator[Page]:
    """The page, opened by somebody who has never been there."""
    context = browser.new_context(viewport={"width": 1440, "height": 900}, accept_downloads=True)
    context.set_default_timeout(PATIENCE_MILLISECONDS)
    visited = context.new_page()
    complaints: list[str] = []

    def heard(message: ConsoleMessage) -> None:
        # 422 is Gradio's word for a question that its validator refused.
        if message.type == "error" and "status of 422" not in message.text:
            complaints.append(message.text)

    def asked(request: Request) -> None:
        if not request.url.startswith((server.url, "data:", "blob:")):
            complaints.append(f"asked {request.url}")

    visited.on("console", heard)
    visited.on("request", asked)
    visited.on("pageerror", lambda error: complaints.append(str(error)))
    opened(visited, server.url)
    yield visited
    context.close()
    assert not complaints
