"""The answer is the reader's to shape: continued, begun, edited."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.browser.opening import opened
from tests.browser.test_commands import say
from tests.browser.test_page import answer, ask, finished, numbers
from tests.serving import Server


def settle_for(page: Page, max_tokens: int) -> None:
    for text in ("/seed 7", f"/max_tokens {max_tokens}"):
        say(page, text)
        expect(page.locator("#note")).to_contain_text(f"{text.split()[1]} now.")


def go_on(page: Page) -> None:
    before = numbers(page)
    page.locator("#conversation .option").click()
    title = page.locator(".bot-row .thought-group .title").last
    expect(title).not_to_have_text(before)
    # An edit marks its answer a moment later, which changes these words too.
    expect(title).to_contain_text("continued")
    finished(page)


def test_a_cut_answer_is_continued_in_its_bubble_also_after_a_reload(page: Page, server: Server) -> None:
    settle_for(page, 6)
    ask(page, "Tell me a story about a fox")
    finished(page)
    first = answer(page)
    go_on(page)
    second = answer(page)
    assert second.startswith(first)
    assert len(second) > len(first)
    assert "6 tokens" in numbers(page)
    assert "continued" in numbers(page)
    assert page.locator(".bot-row").count() == page.locator(".user-row").count() == 1
    opened(page, server.url)
    page.locator("#chat .table-wrap td").first.click()
    expect(page.locator(".bot-row")).to_contain_text(second.strip()[:20])
    go_on(page)
    assert answer(page).startswith(second)
    assert len(answer(page)) > len(second)


def test_a_finished_answer_has_no_such_button(page: Page) -> None:
    ask(page, "What is the capital of France?")
    finished(page)
    assert "finished" in numbers(page)
    assert page.locator("#conversation .option").count() == 0


def test_a_stopped_answer_is_continued(page: Page) -> None:
    # Hot, so that the answer does not come to its end before the click.
    say(page, "/temperature 2")
    expect(page.locator("#note")).to_contain_text("temperature is 2")
    settle_for(page, 1000)
    ask(page, "Tell me a story about a fox")
    page.locator(".bot-row .thought-group").wait_for()
    page.locator("#question .stop-button").click()
    page.locator("#conversation .option").wait_for()
    stopped = answer(page)
    settle_for(page, 8)
    go_on(page)
    assert answer(page).startswith(stopped)
    assert len(answer(page)) > len(stopped)


def test_an_answer_begins_with_words_of_the_reader(page: Page) -> None:
    settle_for(page, 8)
    say(page, "/prefill Once upon a time")
    expect(page.locator("#note")).to_contain_text("The beginning of each answer is now: Once upon a time")
    ask(page, "What is the capital of France?")
    finished(page)
    assert answer(page).startswith("Once upon a time")
    assert len(answer(page)) > len("Once upon a time")
    assert "begun with your words" in numbers(page)


def test_an_edited_answer_is_kept_and_what_follows_too(page: Page) -> None:
    ask(page, "What is 123 * 456?")
    finished(page)
    ask(page, "What is the capital of France?")
    finished(page)
    later = answer(page)
    row = page.locator(".bot-row").first
    page.locator(".message-buttons-left button[title=Edit]").first.click()
    # What the calculator did and the numbers are not the reader's to change.
    words = row.locator("textarea:visible")
    words.first.wait_for()
    values = words.evaluate_all("boxes => boxes.map(box => box.value)")
    assert values
    assert not any("calculator" in value or "Seed" in value for value in values)
    words.last.fill("It is **none** of your business.")
    page.locator("#conversation button[title=Submit]").click()
    expect(row).to_contain_text("It is none of your business.")
    expect(row.locator(".thought-group .title").last).to_contain_text("edited")
    assert page.locator(".user-row").count() == page.locator(".bot-row").count() == 2
    assert answer(page) == later
    ask(page, "What is 2 + 2?")
    finished(page)
    assert page.locator(".bot-row").count() == 3
    expect(row).to_contain_text("It is none of your business.")


def test_the_last_answer_is_edited_and_the_model_goes_on_from_it(page: Page) -> None:
    settle_for(page, 6)
    ask(page, "Tell me a story about a fox")
    finished(page)
    page.get_by_role("tab", name="Inside").click()
    page.locator("#inside-tokens button").first.wait_for()
    page.locator(".message-buttons-left button[title=Edit]").click()
    page.locator(".bot-row textarea:visible").fill("The fox said")
    page.locator("#conversation button[title=Submit]").click()
    expect(page.locator(".bot-row .thought-group .title").last).to_contain_text("edited")
    expect(page.locator("#inside-tokens")).to_contain_text("edited since")
    assert page.locator("#inside-tokens button").count() == 0
    go_on(page)
    assert answer(page).startswith("The fox said")
    assert len(answer(page)) > len("The fox said")
    page.locator("#inside-tokens button").first.wait_for()
