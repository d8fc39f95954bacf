"""Starts of the real page on ZeroGPU that go wrong: what is said, and to whom."""

from __future__ import annotations

import html
from pathlib import Path

import httpx
import pytest
from gradio_client.exceptions import AppError

from tests.zerogpu.conftest import space_of
from tests.zerogpu.device_api import DeviceAPI


def test_a_model_that_cannot_be_loaded_leaves_a_page_that_says_what_helps(
    shared_api: DeviceAPI, tmp_path: Path
) -> None:
    """The Space runs, for its decorated function is there; a second load could not reach the workers."""
    (tmp_path / "empty").mkdir()
    with space_of("app.py", tmp_path / "empty", shared_api, tmp_path) as space:
        components = httpx.get(f"{space.url}/config", timeout=60).json()["components"]
        values = {part["props"].get("elem_id"): part["props"] for part in components}
        line = html.unescape(values["status"]["value"])
        assert "config.json is missing" in line
        assert "Restart the Space to try again." in line
        assert values["load-again"]["visible"] is False
        with pytest.raises(AppError, match=r"config\.json is missing"):
            space.visitor().predict("Hello", api_name="/chat")
    assert shared_api.asked("schedule") == []


def test_several_models_are_refused_in_one_sentence(
    shared_api: DeviceAPI, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    models = f"One={tiny_checkpoint},Two=embedded"
    with (
        pytest.raises(
            AssertionError, match="ZeroGPU takes one only: name it in NANOCHAT_MODEL, and leave NANOCHAT_MODELS"
        ),
        space_of("app.py", tiny_checkpoint, shared_api, tmp_path, NANOCHAT_MODELS=models),
    ):
        pass
