"""The real page, `app.py` as it stands, on ZeroGPU: what a visitor's program sees of it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError

from tests.zerogpu.conftest import Space, space_of
from tests.zerogpu.device_api import DeviceAPI, Refusal

SETTINGS = {"temperature": 0.0, "max_tokens": 12, "seed": 4}


@pytest.fixture(scope="module")
def page(shared_api: DeviceAPI, tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Space]:
    folder = tmp_path_factory.mktemp("page")
    with space_of("app.py", tiny_checkpoint, shared_api, folder, NANOCHAT_DTYPE="float32") as space:
        yield space


def test_the_launch_is_reported_and_asks_for_no_gpu(page: Space, shared_api: DeviceAPI) -> None:
    assert len(shared_api.asked("startup-report")) == 1
    assert shared_api.asked("schedule") == []


def test_a_chat_goes_on_over_two_turns_on_lent_gpus(page: Space, api: DeviceAPI) -> None:
    visitor = page.visitor()
    first = visitor.predict("Hello", **SETTINGS, api_name="/chat")
    second = visitor.predict("And then?", **SETTINGS, api_name="/chat")
    assert isinstance(first, str)
    assert isinstance(second, str)
    assert len(api.asked("schedule")) == 2
    assert len(api.asked("release")) == 2


def test_the_stateless_answer_is_the_same_from_every_worker(page: Space, api: DeviceAPI) -> None:
    answers = []

    def call() -> None:
        messages = [{"role": "user", "content": "What is 12 + 34?"}]
        answers.append(page.visitor().predict(messages, **SETTINGS, api_name="/generate"))

    with page.mishap("slow"):
        callers = [threading.Thread(target=call) for _ in range(4)]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join(timeout=60)
    assert len(answers) == 4, "a visitor was refused"
    assert api.most_at_once == 2
    assert len({tuple(answer["ids"]) for answer in answers}) == 1


def test_a_refusal_is_told_in_words_and_the_chat_goes_on(page: Space, api: DeviceAPI) -> None:
    visitor: Client = page.visitor()
    api.answer_next(Refusal(503))
    with pytest.raises(AppError, match="none became free: try again in a minute"):
        visitor.predict("Hello", **SETTINGS, api_name="/chat")
    assert isinstance(visitor.predict("Hello", **SETTINGS, api_name="/chat"), str)


def test_a_killed_worker_leaves_the_text_so_far(page: Space, api: DeviceAPI) -> None:
    api.kill_after_seconds = 1
    with page.mishap("slow"):
        job = page.visitor().submit("Hello", temperature=0.0, max_tokens=200, seed=4, api_name="/chat")
        with pytest.raises(AppError, match="taken back"):
            job.result(timeout=30)
    assert job.outputs()[-1]


def test_invalid_input_asks_for_no_gpu(page: Space, api: DeviceAPI) -> None:
    for arguments in ({"message": ""}, {"message": "Hello", "temperature": 3}):
        with pytest.raises(AppError):
            page.visitor().predict(**arguments, api_name="/chat")
    assert api.asked("schedule") == []
