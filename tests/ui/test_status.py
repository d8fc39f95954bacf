"""The line at the top."""

from __future__ import annotations

from nanochat.ui.loading import Dropped, Failed, Loading
from nanochat.ui.status import status_html
from tests.ui.test_model_card import served


def test_progress_is_drawn_and_said() -> None:
    html = status_html(Loading("Downloading", 0.25))
    assert 'role="status">Downloading<' in html
    assert 'value="25"' in html


def test_a_failure_is_text_and_an_alert() -> None:
    html = status_html(Failed("No <b>model</b>."))
    assert 'role="alert">No &lt;b&gt;model&lt;/b&gt;.<' in html
    assert "Restart" not in html


def test_a_failure_that_stays_says_what_helps() -> None:
    assert "Restart the Space to try again." in status_html(Failed("No model.", final=True))


def test_a_loaded_model_is_named_with_its_size() -> None:
    assert "the embedded model · " in status_html(served("grouped"))
    assert "karpathy/nanochat-d32 · " in status_html(served("deep", source="karpathy/nanochat-d32"))


def test_a_model_that_made_room_says_how_it_comes_back() -> None:
    assert "your message loads it again" in status_html(Dropped())
