"""Commands typed in the message box move the settings, and are no part of the chat."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.browser.test_page import answer, ask, finished, numbers


def say(page: Page, text: str) -> None:
    page.locator("#question textarea").fill(text)
    page.locator("#question textarea").press("Enter")


def note(page: Page) -> str:
    return page.locator("#note").inner_text()


def test_commands_move_the_controls_and_leave_the_chat_alone(page: Page) -> None:
    for text, words in (
        ("/temperature 0", "temperature is 0 now."),
        ("/topk 20", "top_k is 20 now."),
        ("/max_tokens 5", "max_tokens is 5 now."),
        ("/seed 42", "seed is 42 now."),
        ("/system You are a pirate.", "The system prompt is now: You are a pirate."),
    ):
        say(page, text)
        expect(page.locator("#note")).to_contain_text(words)
        expect(page.locator("#question textarea")).to_have_value("")
    page.get_by_text("More settings").click()
    assert page.get_by_label("number input for Temperature").input_value() == "0"
    assert page.get_by_label("number input for Top k").input_value() == "20"
    assert page.get_by_label("System prompt").input_value() == "You are a pirate."
    assert page.get_by_label("Seed").input_value() == "42"
    assert page.locator(".user-row").count() == 0
    ask(page, "Tell me a story about a fox")
    finished(page)
    assert "5 tokens" in numbers(page)
    assert "seed 42" in numbers(page)
    # What was said of the last command is not said of this answer.
    expect(page.locator("#note")).to_have_text("")


def test_a_command_that_cannot_be_followed_stays_in_the_box(page: Page) -> None:
    for text, words in (
        ("/temperature 9", "temperature must be a number from 0 to 2."),
        ("/tempreature 1", "There is no command /tempreature. Commands are /temperature, /topk"),
    ):
        say(page, text)
        expect(page.locator("#note .refused")).to_contain_text(words)
        expect(page.locator("#question textarea")).to_have_value(text)
    assert page.locator("#note [role=status]").count() == 1
    page.locator("#question .submit-button").click()
    assert page.locator(".user-row").count() == 0


def test_help_lists_commands_and_keys_and_clear_begins_a_new_chat(page: Page) -> None:
    ask(page, "What is the capital of France?")
    finished(page)
    say(page, "/help")
    for words in ("/temperature 0.8", "/clear", "Ctrl+Shift+O", "space before the slash"):
        expect(page.locator("#note")).to_contain_text(words)
    say(page, "/clear")
    expect(page.locator(".user-row")).to_have_count(0)
    expect(page.locator("#note")).to_contain_text("This is a new chat.")
    expect(page.locator("#chat .table-wrap td")).to_have_count(1)
    ask(page, "What is the capital of Italy?")
    finished(page)
    assert "Rome" in answer(page)
    expect(page.locator("#chat .table-wrap td")).to_have_count(2)


def test_what_only_begins_with_a_slash_is_a_message(page: Page) -> None:
    for count, text in enumerate(("/home/x is a folder", " /help is a command"), start=1):
        say(page, text)
        expect(page.locator(".user-row")).to_have_count(count)
        finished(page)
        expect(page.locator(".user-row").last).to_contain_text(text.strip())
