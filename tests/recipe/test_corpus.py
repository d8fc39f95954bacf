"""The corpus is read whole, cleaned, weighted, and refused in plain words where a file is missing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nanochat.errors import RecipeError
from nanochat.recipe import corpus
from tests.recipe.small_corpus import STORY, write_small_corpus


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_small_corpus(tmp_path)


def test_a_missing_file_is_named_with_its_folder(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"no file tiny-stories.jsonl.bz2 in .*: give the folder"):
        list(corpus.pretraining_texts(write_without(tmp_path, "tiny-stories.jsonl.bz2")))
    with pytest.raises(RecipeError, match=r"no file countries\.json"):
        corpus.countries(write_without(tmp_path, "countries.json"))


def write_without(folder: Path, name: str) -> Path:
    write_small_corpus(folder)
    (folder / name).unlink()
    return folder


@pytest.mark.parametrize("content", [b"no bzip2 at all", b""])
def test_a_damaged_file_is_refused(folder: Path, content: bytes) -> None:
    (folder / "trivia.jsonl.bz2").write_bytes(content)
    with pytest.raises(RecipeError, match=r"trivia\.jsonl\.bz2 cannot be read"):
        corpus.questions(folder, "trivia")
    (folder / "elements.json").write_bytes(b"[{")
    with pytest.raises(RecipeError, match=r"elements\.json cannot be read"):
        corpus.elements(folder)


def test_stories_that_were_glued_together_are_told_apart(folder: Path) -> None:
    stories = list(corpus.prose(folder, "tiny-stories"))
    assert len(stories) == 3
    assert stories[0] == STORY
    assert all(story.startswith("Once upon a time") for story in stories)


def test_hard_wrapped_lines_are_joined_and_paragraphs_kept(folder: Path) -> None:
    (tale,) = corpus.prose(folder, "fairy-tales")
    assert tale.startswith("There was once a king who had a daughter.\n\nOnce upon a time")


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ('Socotra ( "") is an island.', "Socotra is an island."),
        ("A word () here , there .", "A word here, there."),
        ("one\ntwo\n\nthree", "one two\n\nthree"),
    ],
)
def test_brackets_that_were_left_empty_go(text: str, cleaned: str) -> None:
    assert corpus.clean(text) == cleaned


def test_bracketed_asides_go_the_inner_ones_too() -> None:
    assert corpus.without_brackets("Otto (born (1879)) was a chemist (of fame).") == "Otto was a chemist."


@pytest.mark.parametrize(
    ("text", "plain"),
    [("The fox ran home.", True), ("Лиса бежала домой.", False), ("1 2 3 4 5 6 = x", False), ("", False)],
)
def test_only_english_text_is_plain_english(text: str, plain: bool) -> None:
    assert corpus.is_plain_english(text) is plain


def test_articles_on_vital_topics_pass_more_often(folder: Path) -> None:
    passes = {text: count for text, count in corpus.pretraining_texts(folder) if "obscure" in text or "volcano" in text}
    assert sorted(passes.values()) == [1, corpus.VITAL_PASSES]
    assert max(passes, key=lambda text: passes[text]).startswith("A volcano")


def test_every_prose_source_reaches_pretraining_with_its_passes(folder: Path) -> None:
    counts = [count for _, count in corpus.pretraining_texts(folder)]
    assert counts.count(6) == 3
    assert all(count >= 1 for count in counts)


@pytest.mark.parametrize(
    ("question", "topic"),
    [
        ("What is a fugue?", "a fugue"),
        ("what is the Sun", "the Sun"),
        ('What does "map projection" mean?', "map projection"),
        ("Can you tell me what Being and Time is?", "Being and Time"),
        ("Explain idolatry in simple words.", "idolatry"),
        ("Tell me about the Hudson Bay.", "the Hudson Bay"),
        ("Explain what the blue whale is.", "the blue whale"),
        ("How do planes fly?", None),
    ],
)
def test_the_topic_of_a_question_is_found(question: str, topic: str | None) -> None:
    assert corpus.asked_topic(question) == topic


def test_countries_are_named_as_people_name_them(folder: Path) -> None:
    rows = corpus.read_table(folder, "countries")
    united_states = {**rows[0], "name": "United States", "region": "Americas", "capital": ["Washington D.C."]}
    turkey = {**rows[1], "name": "Türkiye", "unMember": True}
    (folder / "countries.json").write_text(json.dumps([united_states, turkey]), encoding="utf-8")
    first, second = corpus.countries(folder)
    assert (first.name, first.capital, first.continent) == ("the United States", "Washington, D.C.", "North America")
    assert second.name == "Turkey"


def test_elements_come_in_order(folder: Path) -> None:
    assert [element.symbol for element in corpus.elements(folder)] == ["H", "He", "Fe"]
