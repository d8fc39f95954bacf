"""What a reader does in the Inside tab, in Chromium, with the embedded model."""

from __future__ import annotations

import contextlib
import io
import re
import subprocess

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.opening import opened
from tests.browser.test_page import answer, ask, finished, set_number
from tests.serving import Server

SUM = "What is 123 * 456?"
STORY = "Tell me a story about a fox"


def inside(page: Page) -> Page:
    page.get_by_role("tab", name="Inside").click()
    return page


def chips(page: Page) -> Locator:
    return page.locator("#inside-tokens button.token")


def drawn(page: Page) -> None:
    """Wait until the tokens are those of the whole answer."""
    finished(page)
    count = int(re.findall(r"([\d,]+) tokens?", page.locator(".bot-row .thought-group .title").last.inner_text())[0])
    expect(chips(page)).to_have_count(count)


def ids(page: Page) -> list[str]:
    titles = chips(page).evaluate_all("buttons => buttons.map(button => button.title)")
    return [re.findall(r" · id (\d+) · ", title)[0] for title in titles]


def unfold(page: Page, title: str) -> None:
    page.locator("#side button.label-wrap").filter(has_text=title).first.click()


def looked(page: Page, position: int) -> None:
    expect(page.locator("#inside-choices h3")).to_contain_text(f"Token {position}:")


def ask_seeded(page: Page, question: str, seed: str) -> None:
    page.get_by_text("More settings").click()
    box = page.get_by_label("Seed", exact=True)
    box.fill(seed)
    box.press("Tab")
    inside(page)
    ask(page, question)
    drawn(page)


def endless(page: Page) -> None:
    """Let answers be drawn from the whole vocabulary, so that they seldom come to their end before they are stopped."""
    for label, value in (("Max tokens", "900"), ("Temperature", "2"), ("Top k", "0")):
        set_number(page, label, value)


def test_tokens_appear_while_the_answer_streams(page: Page) -> None:
    set_number(page, "Max tokens", "800")
    inside(page)
    ask(page, STORY)
    page.wait_for_function(
        """() => document.querySelectorAll("#inside-tokens button.token").length > 3
          && document.querySelector("#question .stop-button")?.getClientRects().length > 0"""
    )
    drawn(page)


def test_what_the_calculator_put_in_is_marked_and_the_prompt_has_its_control_tokens(page: Page) -> None:
    inside(page)
    ask(page, SUM)
    drawn(page)
    assert page.locator("#inside-tokens button.forced").all_inner_texts() == [
        "<|output_start|>",
        *"56088",
        "<|output_end|>",
    ]
    page.locator("#inside-prompt summary").click()
    given = page.locator("#inside-prompt button.token")
    assert given.first.inner_text() == "<|bos|>"
    assert given.last.inner_text() == "<|assistant_start|>"
    given.nth(2).click()
    looked(page, 2)
    expect(page.locator("#inside-choices")).to_contain_text("It was given")
    expect(page.locator("#inside-choices button.branch")).to_have_count(0)
    given.first.click()
    expect(page.locator("#inside-choices")).to_contain_text("Every text begins with this token")


def test_the_keyboard_reaches_every_token_head_and_candidate(page: Page) -> None:
    inside(page)
    ask(page, SUM)
    drawn(page)
    chips(page).first.focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    place = int(chips(page).nth(3).get_attribute("data-place") or "")
    looked(page, place)
    expect(chips(page).nth(3)).to_be_focused()
    expect(chips(page).nth(3)).to_have_attribute("aria-pressed", "true")
    assert chips(page).nth(3).evaluate("button => getComputedStyle(button).outlineStyle") != "none"
    page.keyboard.press("End")
    expect(chips(page).last).to_be_focused()
    # One stop for all tokens: the next Tab leaves them.
    page.keyboard.press("Tab")
    assert not page.evaluate("document.activeElement.matches('.token')")
    unfold(page, "Attention")
    heads = page.locator("#inside-attention button.strip")
    heads.first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(page.locator("#inside-attention h3")).to_have_text("Layer 1, head 2")
    expect(heads.nth(1)).to_be_focused()
    page.locator("#inside-choices button.branch").first.focus()
    expect(page.locator("#inside-choices button.branch").first).to_be_focused()


def test_the_temperature_redraws_the_candidates_of_the_token_alone(page: Page) -> None:
    inside(page)
    ask(page, "What is the capital of France?")
    drawn(page)
    chips(page).first.click()
    expect(page.locator("#inside-choices")).to_contain_text("leave 50 candidates")
    unfold(page, "Layers")
    layers = page.locator("#inside-layers table").inner_text()
    slider = page.locator("#inside-temperature input[type=range]")
    slider.focus()
    slider.press("Home")
    expect(page.locator("#inside-choices")).to_contain_text("leave 1 candidate to")
    assert page.locator("#inside-choices tr.excluded").count() > 10
    slider.press("End")
    expect(page.locator("#inside-choices")).to_contain_text("leave 50 candidates")
    assert page.locator("#inside-layers table").inner_text() == layers
    expect(chips(page).first).to_have_attribute("aria-pressed", "true")


def test_a_new_answer_and_a_new_chat_leave_nothing_of_the_old_one(page: Page) -> None:
    inside(page)
    ask(page, SUM)
    drawn(page)
    chips(page).nth(2).click()
    expect(page.locator("#inside-choices h3")).to_be_visible()
    ask(page, "What is the capital of France?")
    drawn(page)
    expect(page.locator("#inside-choices h3")).to_have_count(0)
    assert page.locator("[data-answer] button[aria-pressed=true]").count() == 0
    for title in ("Layers", "Attention", "MLP", "Arithmetic"):
        unfold(page, title)
        expect(page.locator(f"#inside-{title.lower()}")).to_contain_text("Click a token")
    chips(page).first.click()
    expect(page.locator("#inside-choices h3")).to_be_visible()
    page.get_by_role("button", name="New chat").click()
    expect(page.locator("#inside-tokens")).to_contain_text("The chat has changed since this answer")
    expect(page.locator("#inside-choices h3")).to_have_count(0)
    assert chips(page).count() == 0


def test_of_two_clicks_at_once_the_second_counts(page: Page) -> None:
    ask(inside(page), "What is the capital of France?")
    drawn(page)
    position = page.locator("#inside-prompt button.token").count()
    page.evaluate("document.querySelectorAll('#inside-tokens button.token').forEach((button) => button.click())")
    last = position + chips(page).count() - 1
    looked(page, last)
    # Nor does an earlier one come after it.
    page.wait_for_timeout(500)
    looked(page, last)


def test_two_readers_at_once_see_each_their_own_answer(page: Page, browser: Browser, server: Server) -> None:
    context = browser.new_context()
    other = context.new_page()
    opened(other, server.url)
    readers = {inside(page): "What is the capital of France?", inside(other): SUM}
    for reader, question in readers.items():
        ask(reader, question)
    for reader in readers:
        drawn(reader)
    for _ in range(3):
        for reader in readers:
            chips(reader).nth(0).click()
            chips(reader).nth(1).click()
    for reader, question in readers.items():
        position = len(reader.locator("#inside-prompt button.token").all()) + 1
        looked(reader, position)
        name = chips(reader).nth(1).inner_text().strip()
        expect(reader.locator("#inside-choices h3 code")).to_contain_text(name or "·")
        text = reader.locator("#inside-prompt button.token").all_text_contents()
        assert question in "".join(text)
        assert answer(reader)[:3] in "".join(chips(reader).all_text_contents()).strip()[:6]
    names = {reader.locator("#inside-tokens [data-answer]").get_attribute("data-answer") for reader in readers}
    assert len(names) == 2
    context.close()


# The button is pressed by the page itself: an answer may be over before another process finds it.
STOP_ONCE_SENT = """(count) => {
  const stop = document.querySelector("#question .stop-button");
  const sent = document.querySelectorAll("#inside-prompt button.token").length;
  if (!stop?.getClientRects().length || sent !== count) return false;
  stop.click();
  return true;
}"""


def test_another_candidate_continues_from_its_place_and_stop_ends_it(page: Page) -> None:
    ask_seeded(page, STORY, "5")
    before = ids(page)
    page.get_by_role("tab", name="Settings").click()
    endless(page)
    inside(page)
    sent = page.locator("#inside-prompt button.token")
    asked = sent.count()
    chips(page).nth(4).click()
    row = page.locator("#inside-choices tbody tr:not(.chosen)").first
    branch = row.locator("button.branch")
    other = branch.get_attribute("data-id")
    branch.click()
    # The branch is drawn once its prompt holds what was kept, and the other token.
    page.wait_for_function(STOP_ONCE_SENT, arg=asked + 5)
    page.locator("[data-testid=submit-button]").wait_for()
    expect(page.locator(".bot-row .thought-group .title").last).to_contain_text("stopped")
    prompt = sent.evaluate_all("all => all.map(button => button.title)")
    begun = [re.findall(r" · id (\d+) · ", title)[0] for title in prompt[-5:]]
    assert begun == [*before[:4], other]
    # What was stopped is looked into and continued as any other answer.
    chips(page).first.click()
    expect(page.locator("#inside-choices button.branch").first).to_be_visible()


# Both in one go, so that nothing is drawn between them. An answer that was short is asked for again.
STOP_AND_CLICK = """() => {
  const chips = document.querySelectorAll("#inside-tokens button.token");
  const stop = document.querySelector("#question .stop-button");
  if (document.querySelector("#inside-tokens [data-ended]")) return "ended";
  if (chips.length < 5 || !stop?.getClientRects().length) return false;
  stop.click();
  chips[1].click();
  return "clicked";
}"""


def test_a_click_before_the_end_is_drawn_counts_when_it_is(page: Page) -> None:
    page.get_by_text("More settings").click()
    endless(page)
    inside(page)
    for _ in range(9):
        ask(page, STORY)
        if page.wait_for_function(STOP_AND_CLICK).json_value() == "clicked":
            break
        page.get_by_role("button", name="New chat").click()
        expect(page.locator(".user-row")).to_have_count(0)
    expect(page.locator("#inside-choices button.branch").first).to_be_visible()
    expect(chips(page).nth(1)).to_have_attribute("aria-pressed", "true")
    looked(page, int(chips(page).nth(1).get_attribute("data-place") or ""))


@pytest.mark.parametrize("temperature", ["0", "1.2"])
def test_a_copied_link_and_the_copied_calls_give_the_very_answer(
    page: Page, browser: Browser, server: Server, temperature: str
) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=server.url)
    set_number(page, "Temperature", temperature)
    set_number(page, "Max tokens", "24")
    inside(page)
    ask(page, STORY)
    drawn(page)
    copied = {}
    for what in ("link", "Python", "curl"):
        page.get_by_role("button", name=f"Copy {what}").click()
        expect(page.locator("#replay-copied textarea")).to_have_value(
            re.compile({"link": "replay=", "Python": "import Client", "curl": "curl -s"}[what])
        )
        expect(page.locator("#replay-said")).to_contain_text("Copied.")
        copied[what] = page.evaluate("navigator.clipboard.readText()")
        assert copied[what] == page.locator("#replay-copied textarea").input_value()
    context = browser.new_context()
    visitor = context.new_page()
    visitor.goto(copied["link"])
    visitor.locator(".bot-row").wait_for()
    inside(visitor)
    drawn(visitor)
    assert ids(visitor) == ids(page)
    assert answer(visitor) == answer(page)
    context.close()
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        exec(compile(copied["Python"], "copied.py", "exec"), {})
    first = " ".join(answer(page).split())
    assert first in " ".join(said.getvalue().split())
    told = subprocess.run(["bash", "-c", copied["curl"]], capture_output=True, text=True, check=True, timeout=60)
    assert re.findall(r'"ids": \[([\d, ]+)\]', told.stdout)[-1].split(", ") == ids(page)


def test_a_damaged_link_is_refused_in_words_and_the_page_works(browser: Browser, server: Server) -> None:
    context = browser.new_context()
    visitor = context.new_page()
    visitor.goto(f"{server.url}/?replay=damaged")
    expect(visitor.locator(".toast-body")).to_contain_text("This link is damaged")
    ask(visitor, "What is 2 + 2?")
    finished(visitor)
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1440])
def test_nothing_inside_is_wider_than_the_screen(page: Page, width: int, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 800})
    inside(page)
    ask(page, SUM)
    drawn(page)
    chips(page).nth(2).click()
    expect(page.locator("#inside-choices h3")).to_be_visible()
    for title in ("Layers", "Attention", "MLP", "Arithmetic"):
        unfold(page, title)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
