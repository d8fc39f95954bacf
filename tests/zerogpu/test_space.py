"""The engine through the real `spaces` package: real workers, a real queue, and a device API that obeys the test."""

from __future__ import annotations

import base64
import json
import time
from collections import Counter

import httpx
import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError
from tokenizers import Tokenizer

from nanochat import NanoChatForCausalLM
from nanochat.chat.conversation import Conversation
from nanochat.chat.engine import LocalEngine
from nanochat.chat.events import Done
from nanochat.chat.sampling import SamplingSettings
from nanochat.chat.template import ChatTemplate
from tests.zerogpu.conftest import HURRIED, Events, Space, ask, events_of
from tests.zerogpu.device_api import QUEUE_BREAKS, QUEUE_FAILS, DeviceAPI, Refusal, is_alive

# What the proxy of huggingface.co puts before each request of a page: only the middle part is read.
PASS = f"e30.{base64.urlsafe_b64encode(json.dumps({'user': 'somebody'}).encode()).decode().rstrip('=')}.sig"


def finished(job: object, seconds: float = 30) -> Events:
    job.result(timeout=seconds)
    return events_of(job)


def error_of(job: object) -> dict[str, str]:
    with pytest.raises(AppError) as caught:
        job.result(timeout=30)
    return json.loads(str(caught.value))


def eventually(claim: object, seconds: float = 5) -> bool:
    patience = time.monotonic() + seconds
    while not claim() and time.monotonic() < patience:
        time.sleep(0.02)
    return claim()


def test_launch_reports_that_a_function_is_decorated(space: Space, api: DeviceAPI) -> None:
    assert space.process.poll() is None
    assert httpx.post(f"{api.url}/startup-report").status_code == 200


def test_an_answer_streams_token_by_token(space: Space, visitor: Client, api: DeviceAPI) -> None:
    with space.mishap("slow"):
        job = ask(visitor, "Hello")
        arrivals = [(time.monotonic(), json.loads(event)["kind"]) for event in job]
    kinds = [kind for _, kind in arrivals]
    assert kinds[0] == "GPUWait"
    assert kinds[-2:] == ["GPUUsed", "Done"]
    assert Counter(kinds)["Token"] == 20
    times = [moment for moment, kind in arrivals if kind == "Token"]
    assert times[-1] - times[0] > 0.3


def test_the_announced_seconds_are_the_estimate_shown(visitor: Client, api: DeviceAPI) -> None:
    # 0.5 to start, 100 tokens at 100 a second, 2 to spare, and a little for the prompt.
    events = finished(ask(visitor, "Hello", speed=HURRIED, max_tokens=100))
    assert events[0]["estimated_seconds"] == 4
    assert [call.query["durationSeconds"] for call in api.asked("schedule")] == ["4"]
    used = events[-2]
    assert used["estimated_seconds"] == 4
    assert 0 <= used["start_seconds"] < used["used_seconds"] < 4


def test_no_answer_asks_for_more_than_the_limit(visitor: Client, api: DeviceAPI) -> None:
    finished(ask(visitor, "Hello", speed=(100, 1, 1)))
    assert [call.query["durationSeconds"] for call in api.asked("schedule")] == ["20"]


def test_a_warm_worker_answers_again_and_remembers_the_prompt(visitor: Client, api: DeviceAPI) -> None:
    first = finished(ask(visitor, "Tell me about the river."))
    workers = len(api.workers)
    again = finished(ask(visitor, "Tell me about the river."))
    assert len(api.workers) == workers
    assert again[-1]["reused_tokens"] == first[-1]["prompt_tokens"] - 1
    assert again[-1]["message"]["ids"] == first[-1]["message"]["ids"]


def test_the_answer_is_the_one_given_without_zerogpu(
    visitor: Client, api: DeviceAPI, tiny_model: NanoChatForCausalLM, tiny_tokenizer: Tokenizer
) -> None:
    settings = SamplingSettings(temperature=1.0, seed=77, max_tokens=60)
    conversation = Conversation.from_messages([{"role": "user", "content": "What is 12 + 34?"}])
    *_, here = LocalEngine(tiny_model, ChatTemplate(tiny_tokenizer)).stream(conversation, settings)
    assert isinstance(here, Done)
    there = finished(ask(visitor, "What is 12 + 34?", temperature=1.0, seed=77, max_tokens=60))[-1]
    assert tuple(there["message"]["ids"]) == here.message.ids
    assert there["finish_reason"] == here.finish_reason


def test_two_visitors_without_a_seed_get_different_answers(space: Space, api: DeviceAPI) -> None:
    # Workers are forked from one process: a seed drawn from inherited state would be the same in each.
    with space.mishap("slow"):
        jobs = [ask(space.visitor(), "Hello", temperature=1, seed=None) for _ in range(2)]
        answers = [finished(job)[-1] for job in jobs]
    assert api.most_at_once == 2
    assert answers[0]["seed"] != answers[1]["seed"]


def test_stop_hands_the_gpu_back_and_keeps_the_worker(space: Space, visitor: Client, api: DeviceAPI) -> None:
    with space.mishap("slow"):
        job = ask(visitor, "Hello", max_tokens=200)
        assert eventually(lambda: len(job.outputs()) > 10)
        stopped = time.monotonic()
        job.cancel()
        assert eventually(lambda: not api.running())
        assert time.monotonic() - stopped < 1
    assert [call.query["fail"] for call in api.asked("release")] == ["false"]
    workers = len(api.workers)
    finished(ask(visitor, "Hello"))
    assert len(api.workers) == workers


def test_a_dropped_connection_hands_the_gpu_back(space: Space, api: DeviceAPI) -> None:
    data = [[{"role": "user", "content": "Hello"}], {"max_tokens": 200}, []]
    with space.mishap("slow"), httpx.Client(base_url=f"{space.url}/gradio_api") as browser:
        join = {"data": data, "fn_index": 0, "session_hash": "gone"}
        browser.post("/queue/join", json=join).raise_for_status()
        with browser.stream("GET", "/queue/data", params={"session_hash": "gone"}) as stream:
            assert any("Token" in line for line in stream.iter_lines())
            assert api.running() == 1
        assert eventually(lambda: not api.running())
    assert [call.query["fail"] for call in api.asked("release")] == ["false"]


def test_whoever_waits_for_a_gpu_is_told_so_and_can_leave(space: Space, visitor: Client, api: DeviceAPI) -> None:
    with api.all_taken(), httpx.Client() as bystander:
        job = ask(visitor, "Hello")
        assert eventually(lambda: len(job.outputs()) > 5)
        waits = events_of(job)
        assert {event["kind"] for event in waits} == {"GPUWait"}
        assert waits[-1]["waited_seconds"] > 0.4
        job.cancel()
        # The server does not wait for the one who left: nothing is free before this block ends.
        bystander.get(f"{space.url}/config", timeout=10).raise_for_status()
    # A GPU that came too late is handed back.
    assert eventually(lambda: not api.running())


def test_a_gpu_that_becomes_free_is_used(visitor: Client, api: DeviceAPI) -> None:
    with api.all_taken():
        job = ask(visitor, "Hello")
        assert eventually(lambda: len(job.outputs()) > 3)
    assert finished(job)[-1]["kind"] == "Done"


def test_four_visitors_share_two_slots_and_none_is_refused(space: Space, api: DeviceAPI) -> None:
    with space.mishap("slow"):
        jobs = [ask(space.visitor(), f"Visitor {number}", max_tokens=30) for number in range(4)]
        assert [finished(job)[-1]["kind"] for job in jobs] == ["Done"] * 4
    assert api.most_at_once == 2
    assert len(api.asked("schedule")) == 4


def test_an_answer_ends_cleanly_before_its_announced_seconds(space: Space, visitor: Client, api: DeviceAPI) -> None:
    with space.mishap("slow"):
        events = finished(ask(visitor, "Hello", speed=HURRIED, max_tokens=200))
    *_, used, done = events
    assert done["finish_reason"] == "deadline"
    assert used["estimated_seconds"] - 2 <= used["used_seconds"] < used["estimated_seconds"]
    assert [call.query["fail"] for call in api.asked("release")] == ["false"]


def test_the_estimate_learns_from_a_slow_gpu(space: Space, visitor: Client, api: DeviceAPI) -> None:
    with space.mishap("slow"):
        first = finished(ask(visitor, "Hello", speed=HURRIED, max_tokens=40))
        second = finished(ask(visitor, "Hello", speed=(), max_tokens=140))
    assert first[0]["estimated_seconds"] == 3
    # At the speed assumed at first these would be 4.
    assert second[0]["estimated_seconds"] > 4


def test_a_killed_worker_loses_no_text_and_the_next_answer_comes(space: Space, visitor: Client, api: DeviceAPI) -> None:
    api.kill_after_seconds = 1
    with space.mishap("slow"):
        job = ask(visitor, "Hello", max_tokens=200)
        error = error_of(job)
    assert error["kind"] == "GPULostError"
    assert "taken back" in error["text"]
    assert "Token" in {event["kind"] for event in events_of(job)}
    api.kill_after_seconds = None
    assert finished(ask(visitor, "Hello"))[-1]["kind"] == "Done"


def test_an_error_in_the_worker_names_itself_and_the_next_answer_comes(
    space: Space, visitor: Client, api: DeviceAPI
) -> None:
    with space.mishap("full"):
        error = error_of(ask(visitor, "Hello"))
    assert error["kind"] == "GPULostError"
    assert "MemoryError" in error["text"]
    assert finished(ask(visitor, "Hello"))[-1]["kind"] == "Done"


def test_an_error_of_ours_keeps_its_class_and_the_worker(space: Space, visitor: Client, api: DeviceAPI) -> None:
    with space.mishap("undefined"):
        error = error_of(ask(visitor, "Hello, is anybody there?"))
    assert error["kind"] == "ModelOutputError"
    assert "not finite" in error["text"]
    assert [call.query["fail"] for call in api.asked("release")] == ["false"]


@pytest.mark.parametrize(
    ("question", "settings", "kind"),
    [
        pytest.param("", {}, "InvalidMessageError", id="empty message"),
        pytest.param("a" * 8001, {}, "InvalidMessageError", id="message too long"),
        pytest.param("word " * 400, {}, "ContextFullError", id="more tokens than the context"),
        pytest.param("Hello", {"temperature": -1}, "InvalidSettingError", id="setting out of range"),
    ],
)
def test_invalid_input_asks_for_no_gpu(
    visitor: Client, api: DeviceAPI, question: str, settings: dict[str, object], kind: str
) -> None:
    assert error_of(ask(visitor, question, **settings))["kind"] == kind
    assert api.asked("schedule") == []


QUOTA = {"left": 3, "wait": 3725}


@pytest.mark.parametrize(
    ("answer", "known", "kind", "words"),
    [
        pytest.param(Refusal(429, QUOTA), True, "GPUQuotaError", "3 s left", id="quota"),
        pytest.param(Refusal(429, QUOTA), True, "GPUQuotaError", "in 1:02:05", id="quota: when it is back"),
        pytest.param(Refusal(429, QUOTA), False, "GPUQuotaError", "Hugging Face token", id="quota of the Space"),
        pytest.param(Refusal(429, {"left": 0, "wait": 0}), True, "GPUQuotaError", "as often", id="runs"),
        pytest.param(Refusal(429, {"left": 0, "wait": -1}), True, "GPUQuotaError", "at once", id="illegal duration"),
        pytest.param(
            Refusal(429, QUOTA, {"X-Approve-Result": "pending-overquota-exceeded"}),
            True,
            "GPUQuotaError",
            "still run",
            id="pending",
        ),
        pytest.param(QUEUE_FAILS, True, "GPUBusyError", "none became free", id="queue timeout"),
        pytest.param(QUEUE_FAILS, False, "GPUBusyError", "none became free", id="queue timeout, unknown visitor"),
        pytest.param(Refusal(503), True, "GPUBusyError", "none became free", id="no GPU"),
        pytest.param(Refusal(401), True, "GPUError", "reload the page", id="expired pass"),
        pytest.param(Refusal(500), True, "GPUError", "does not answer", id="broken service"),
    ],
)
def test_each_refusal_says_what_the_visitor_can_do(
    space: Space, api: DeviceAPI, answer: Refusal, known: bool, kind: str, words: str
) -> None:
    api.answer_next(answer)
    visitor = space.visitor(**({"x-ip-token": PASS} if known else {}))
    job = ask(visitor, "Hello")
    error = error_of(job)
    assert error["kind"] == kind
    assert words in error["text"]
    assert api.workers == [] or not api.running()
    assert finished(ask(visitor, "Hello"))[-1]["kind"] == "Done", "the chat is not usable after a refusal"


def test_the_visitors_pass_reaches_the_scheduler(space: Space, api: DeviceAPI) -> None:
    finished(ask(space.visitor(**{"x-ip-token": PASS}), "Hello"))
    assert [call.query.get("token") for call in api.asked("schedule")] == [PASS]


def test_a_queue_that_breaks_is_joined_again(visitor: Client, api: DeviceAPI) -> None:
    api.answer_next(QUEUE_BREAKS)
    assert finished(ask(visitor, "Hello"))[-1]["kind"] == "Done"
    assert len(api.asked("schedule")) == 2


def test_no_worker_outlives_the_space(space: Space, api: DeviceAPI) -> None:
    # The last test of this module: it ends the Space that the others share.
    assert any(is_alive(worker) for worker in api.workers)
    space.process.terminate()
    space.process.wait(30)
    api.close()
    assert eventually(lambda: not any(is_alive(worker) for worker in api.workers))
