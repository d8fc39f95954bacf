"""What the keyboard does, and where it leaves its keys alone."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.browser.test_commands import say
from tests.browser.test_page import ask, finished


def focused(page: Page) -> str:
    return str(page.evaluate("document.activeElement.closest('[id]')?.id ?? ''"))


def test_escape_stops_the_answer_from_where_no_field_needs_it(page: Page) -> None:
    # Hot, so that the answer does not come to its end by itself.
    say(page, "/temperature 2")
    expect(page.locator("#note")).to_contain_text("temperature is 2")
    say(page, "/max_tokens 1000")
    expect(page.locator("#note")).to_contain_text("1000 now.")
    ask(page, "Tell me a story about a fox")
    page.locator(".bot-row .thought-group").wait_for()
    seed = page.get_by_label("number input for Temperature")
    seed.press("Escape")
    assert page.locator("#question .stop-button").is_visible()
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("Escape")
    expect(page.locator(".bot-row .thought-group .title").last).to_contain_text("stopped")
    page.locator("[data-testid=submit-button]").wait_for()


def test_a_new_chat_and_the_way_back_to_the_box(page: Page) -> None:
    ask(page, "What is the capital of France?")
    finished(page)
    page.get_by_label("number input for Temperature").focus()
    page.keyboard.press("Shift+Escape")
    assert focused(page) == "question"
    page.keyboard.press("Control+Shift+O")
    expect(page.locator(".user-row")).to_have_count(0)
    assert focused(page) == "question"
    expect(page.locator("#chat .table-wrap td")).to_have_count(1)


def test_arrow_up_edits_the_last_message_only_from_an_empty_box(page: Page) -> None:
    box = page.locator("#question textarea")
    for question in ("What is the capital of France?", "What is the capital of Italy?"):
        ask(page, question)
        finished(page)
    box.fill("Something")
    box.press("ArrowUp")
    assert page.locator("#conversation textarea").count() == 0
    box.fill("")
    page.get_by_label("number input for Temperature").press("ArrowUp")
    assert page.locator("#conversation textarea").count() == 0
    box.press("ArrowUp")
    edited = page.locator("#conversation .user-row textarea")
    expect(edited).to_have_value("What is the capital of Italy?")
    expect(edited).to_be_focused()
    # Shift+Enter is a new line, here as in the box.
    box.fill("one")
    box.press("Shift+Enter")
    box.press_sequentially("two")
    assert box.input_value() == "one\ntwo"


def test_the_keys_are_written_on_the_page(page: Page) -> None:
    page.get_by_role("button", name="Commands and keys").click()
    listed = page.locator("#side .commands")
    for key in ("Enter", "Shift+Enter", "Esc", "Ctrl+Shift+O", "↑", "Shift+Esc"):
        expect(listed.locator("kbd", has_text=key).first).to_be_visible()
