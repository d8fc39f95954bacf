"""What a person does on the page, in Chromium, with the embedded model."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.opening import opened
from tests.serving import ROOT, Server

SCREENSHOT = ROOT / "nanochat" / "ui" / "screenshot.png"


ANSWERED = """() => {
  const asked = document.querySelectorAll(".user-row").length;
  const answers = document.querySelectorAll(".bot-row");
  const last = answers[answers.length - 1];
  const ready = document.querySelector("[data-testid=submit-button]");
  return asked > 0 && answers.length === asked && ready && !document.querySelector("#question textarea").disabled
    && / (finished|cut: [a-z ]+|stopped) /.test(last.innerText.replace(/\\s+/g, " ") + " ");
}"""


def ask(page: Page, question: str) -> None:
    before = page.locator(".user-row").count()
    page.locator("#question textarea").fill(question)
    page.locator("#question textarea").press("Enter")
    expect(page.locator(".user-row")).to_have_count(before + 1)


def finished(page: Page) -> None:
    """Wait until the last question has its whole answer and the box takes the next one."""
    page.wait_for_function(ANSWERED)


def answer(page: Page) -> str:
    return page.locator(".bot-row").last.locator(".message-content").first.inner_text()


def numbers(page: Page) -> str:
    return page.locator(".bot-row").last.locator(".thought-group .title").last.inner_text()


def set_number(page: Page, label: str, value: str) -> None:
    box = page.get_by_label(f"number input for {label}")
    box.fill(value)
    box.press("Tab")


def test_an_answer_streams_and_has_its_numbers(page: Page) -> None:
    ask(page, "What is the capital of France?")
    finished(page)
    assert "Paris" in answer(page)
    for words in ("token", "tok/s", "first after", "finished", "seed", "context"):
        assert words in numbers(page)
    assert page.locator("meter").count() == 1


def test_the_calculator_is_a_panel_with_the_exact_product(page: Page) -> None:
    ask(page, "What is 123 * 456?")
    finished(page)
    panel = page.locator(".bot-row").last.locator(".thought-group").first
    assert "Calculator: 123*456" in " ".join(panel.inner_text().split()).replace(" * ", "*")
    assert "56088" in panel.inner_text()
    panel.locator(".title").click()
    expect(panel).to_contain_text("Computed by a calculator")
    # A bare "56088." is a list to Markdown, whose number must not hang outside of the bubble.
    places = page.locator("#conversation .message-content li").evaluate_all(
        "items => items.map(item => getComputedStyle(item).listStylePosition)"
    )
    assert set(places) <= {"inside"}


def test_an_example_is_asked_by_a_click_and_saved(page: Page) -> None:
    page.get_by_text("Tell me a story about a fox").click()
    page.locator(".user-row").wait_for()
    finished(page)
    assert len(answer(page)) > 40
    expect(page.locator("#chat .table-wrap")).to_contain_text("Tell me a story about a fox")


def test_stop_ends_the_answer_and_its_words_stay(page: Page) -> None:
    set_number(page, "Max tokens", "1000")
    # Hot, so that the answer does not come to its end before the click.
    set_number(page, "Temperature", "2")
    ask(page, "Tell me a story about a fox")
    page.locator(".bot-row .thought-group").wait_for()
    stop = page.locator("[data-testid=stop-button], .stop-button").first
    before = time.monotonic()
    stop.click()
    page.locator("[data-testid=submit-button]").wait_for()
    seconds = time.monotonic() - before
    finished(page)
    stopped = answer(page)
    assert "finished" not in numbers(page)
    expect(page.locator(".bot-row").last.locator(".thought-group .title").last).to_contain_text("stopped")
    # The aim is 0.3 s. It is met on an idle machine; one that runs other tests beside this one gets longer.
    assert seconds < 1.5
    # The next question goes on from what was said, and the stopped words stay.
    ask(page, "What is 2 + 2?")
    finished(page)
    assert page.locator(".bot-row").first.locator(".message-content").first.inner_text() == stopped


def test_settings_reach_the_model_and_a_seed_repeats_an_answer(page: Page) -> None:
    page.get_by_text("More settings").click()
    set_number(page, "Max tokens", "3")
    seed = page.get_by_label("Seed")
    seed.fill("7")
    seed.press("Tab")
    ask(page, "Tell me a story about a fox")
    finished(page)
    first = answer(page)
    assert numbers(page).startswith("3 tokens ")
    assert "cut: max tokens" in numbers(page)
    assert "seed 7" in numbers(page)
    seen = numbers(page)
    page.locator("button[title=Retry]").click()
    expect(page.locator(".bot-row .thought-group .title").last).not_to_have_text(seen)
    finished(page)
    assert answer(page) == first


def test_a_seed_that_nobody_gave_stays_empty_and_each_answer_draws_its_own(page: Page) -> None:
    page.get_by_text("More settings").click()
    expect(page.get_by_label("Seed")).to_be_visible()
    expect(page.get_by_label("Seed")).to_have_value("")
    seeds = []
    for _ in range(2):
        ask(page, "What is the capital of France?")
        finished(page)
        seeds.append(numbers(page).split("seed")[1].split()[0])
    assert seeds[0] != seeds[1]


@pytest.mark.parametrize("width", [360, 1440])
def test_a_message_is_edited_in_a_field_as_wide_as_it(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    ask(page, "Tell me a story about a fox")
    finished(page)
    room = page.locator("#conversation .bot-row").bounding_box()
    page.locator("#conversation .bot-row + .message-buttons-left button[title=Edit]").click()
    field = page.locator("#conversation .bot-row textarea:visible").bounding_box()
    assert room
    assert field
    assert field["width"] > 0.9 * room["width"]
    assert field["height"] > 80
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_edit_asks_again_from_there_and_undo_gives_the_question_back(page: Page) -> None:
    ask(page, "What is the capital of France?")
    finished(page)
    page.locator("button[title=Edit]").first.click()
    page.locator("#conversation textarea").fill("What is the capital of Italy?")
    page.locator("#conversation button[title=Submit]").click()
    expect(page.locator(".user-row")).to_contain_text("Italy")
    finished(page)
    expect(page.locator(".bot-row")).to_contain_text("Rome")
    page.locator("button[title=Undo]").click()
    expect(page.locator("#question textarea")).to_have_value("What is the capital of Italy?")
    assert page.locator(".bot-row").count() == 0


def test_a_question_that_is_too_long_stays_in_its_box(page: Page) -> None:
    page.locator("#question textarea").fill("x" * 8_001)
    page.locator("#question textarea").press("Enter")
    expect(page.locator("#question")).to_contain_text("too long: at most 8,000 characters")
    assert len(page.locator("#question textarea").input_value()) == 8_001
    ask(page, "What is 2 + 2?")
    finished(page)
    assert answer(page)


def test_what_a_message_draws_stays_in_its_message_and_on_this_machine(page: Page) -> None:
    ask(page, 'Say <div style="position:fixed;inset:0">no</div><script>document.title="owned"</script>')
    finished(page)
    assert page.title() == "nanochat"
    overlay = page.locator("#conversation [style*=fixed]")
    if overlay.count():
        box = overlay.first.bounding_box()
        assert box
        assert box["height"] < 400
    policy = page.evaluate("() => fetch('/').then(answer => answer.headers.get('content-security-policy'))")
    assert "unsafe-inline" not in policy.split("script-src")[1].split(";")[0]


def test_a_chat_can_be_taken_along(page: Page, tmp_path: Path) -> None:
    ask(page, "What is the capital of France?")
    finished(page)
    with page.expect_download() as download:
        page.get_by_role("button", name="Save as JSON").click()
    assert download.value.suggested_filename == "chat.json"
    download.value.save_as(tmp_path / "chat.json")
    record = json.loads((tmp_path / "chat.json").read_text())
    assert [message["role"] for message in record["messages"]] == ["user", "assistant"]
    assert record["messages"][1]["ids"]
    with page.expect_download() as download:
        page.get_by_role("button", name="Save as Markdown").click()
    assert download.value.suggested_filename == "chat.md"


def test_a_saved_chat_outlives_the_visit_and_goes_on(page: Page, server: Server) -> None:
    ask(page, "What is the capital of France?")
    finished(page)
    expect(page.locator("#chat .table-wrap")).to_contain_text("What is the capital of France?")
    opened(page, server.url)
    page.locator("#chat .table-wrap td").first.click()
    expect(page.locator(".bot-row")).to_contain_text("Paris")
    ask(page, "What is 2 + 2?")
    finished(page)
    expect(page.locator(".bot-row")).to_have_count(2)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1440])
def test_nothing_is_wider_than_the_screen(page: Page, width: int, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 800})
    page.get_by_role("tab", name="Model").click()
    page.locator("#model-card .drawing").first.wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("#question textarea").is_visible()
    expect(page.get_by_role("button", name="Use via API")).to_be_visible()


@pytest.mark.skipif("NANOCHAT_SCREENSHOT" not in os.environ, reason="set NANOCHAT_SCREENSHOT=1 to take a new picture")
def test_the_picture_of_the_readme(page: Page) -> None:
    ask(page, "What is the capital of France?")
    finished(page)
    ask(page, "What is 123 * 456?")
    finished(page)
    page.get_by_role("tab", name="Model").click()
    page.locator("#model-card .drawing").first.wait_for()
    page.screenshot(path=SCREENSHOT)
    assert SCREENSHOT.stat().st_size < 300_000
