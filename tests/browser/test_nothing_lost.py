"""Questions that fail come back, saved chats outlive the server, and no message is wider than the screen."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import PATIENCE_MILLISECONDS
from tests.browser.opening import opened
from tests.browser.test_commands import say
from tests.browser.test_page import answer, ask, finished
from tests.serving import app, free_port

# Each word is more than one token, so these are more than the model reads.
TOO_LONG = "zq7 " * 1_900

WIDE = (
    """A word of Wales: Llanfairpwllgwyngyllgogerychwyrndrobwllllantysiliogogogochandfurther"""
    + "x" * 80
    + """

```python
answer = some_function_with_a_long_name(first_argument=1, second_argument=2, third_argument=3, fourth_argument=4)
```

| one column | another column | a third column | a fourth column | a fifth column |
|---|---|---|---|---|
| 123456789 | 123456789 | 123456789 | 123456789 | 123456789 |
"""
)


def test_a_question_that_fails_comes_back_into_the_box(page: Page) -> None:
    ask(page, "What is the capital of France?")
    finished(page)
    box = page.locator("#question textarea")
    box.fill(TOO_LONG)
    box.press("Enter")
    expect(page.locator(".toast-body")).to_contain_text("the model reads")
    page.wait_for_function("text => document.querySelector('#question textarea').value === text", arg=TOO_LONG)
    expect(box).to_be_enabled()
    expect(page.locator(".user-row")).to_have_count(1)
    page.locator("[data-testid=submit-button]").wait_for()
    ask(page, "What is the capital of Italy?")
    finished(page)
    assert "Rome" in answer(page)


def test_a_saved_chat_outlives_the_server(browser: Browser, tmp_path: Path) -> None:
    port = free_port()
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    context.set_default_timeout(PATIENCE_MILLISECONDS)
    page = context.new_page()
    for visit in range(2):
        with app(tmp_path / "log.txt", port) as server:
            opened(page, server.url)
            if visit == 0:
                say(page, "/max_tokens 5")
                expect(page.locator("#note")).to_contain_text("5 now.")
                ask(page, "Tell me a story about a fox")
                finished(page)
                first = answer(page)
            else:
                page.locator("#chat .table-wrap td").first.click()
                expect(page.locator(".bot-row")).to_contain_text(first.strip())
                page.locator("#conversation .option").click()
                expect(page.locator(".bot-row .thought-group .title").last).to_contain_text("continued")
                finished(page)
                assert answer(page).startswith(first)
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_wide_words_stay_within_a_narrow_screen(page: Page, scheme: str, tmp_path: Path) -> None:
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": 360, "height": 800})
    ask(page, WIDE)
    finished(page)
    page.locator(".message-buttons-left button[title=Edit]").click()
    page.locator(".bot-row textarea:visible").first.fill(WIDE)
    page.locator("#conversation button[title=Submit]").click()
    page.locator(".bot-row table").wait_for()
    say(page, "/help")
    page.locator("#note dl").first.wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    wide = page.evaluate(
        """[...document.querySelectorAll("#conversation .message, #question, #note")]
          .filter(element => element.getBoundingClientRect().right > innerWidth + 1).map(element => element.id)"""
    )
    assert wide == []
    page.screenshot(path=tmp_path / "narrow.png")
