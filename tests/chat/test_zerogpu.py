"""The seconds that are asked for, and the engine where there is no ZeroGPU; with one: tests/zerogpu/test_space.py."""

from __future__ import annotations

import pickle
import time
from collections.abc import Iterator

import pytest

from nanochat import NanoChatForCausalLM
from nanochat.chat.conversation import Conversation, Message
from nanochat.chat.engine import EngineLimits, LocalEngine
from nanochat.chat.events import Candidate, Done, GPUUsed, GPUWait, Token
from nanochat.chat.gpu_seconds import SendingTime, Speed
from nanochat.chat.sampling import SamplingSettings
from nanochat.chat.template import ChatTemplate
from nanochat.chat.zerogpu import GPULender, ZeroGPUEngine
from nanochat.errors import BusyError, ContextFullError, GPULostError

QUESTION = Conversation.from_messages([{"role": "user", "content": "What is 12 + 34?"}])
GREEDY = SamplingSettings(temperature=0, max_tokens=12, seed=5)


def done(**numbers: object) -> Done:
    counts = ("prompt_tokens", "completion_tokens", "reused_tokens", "seed", "context_tokens", "context_limit")
    zeros = dict.fromkeys(counts, 0)
    seconds = dict.fromkeys(("prefill_seconds", "decode_seconds", "time_to_first_token_seconds"), 0.0)
    return Done("stop", Message("assistant", "Paris"), **(zeros | seconds | numbers))


@pytest.fixture
def engine(tiny_model: NanoChatForCausalLM, tiny_template: ChatTemplate) -> ZeroGPUEngine:
    return ZeroGPUEngine(GPULender(), tiny_model, tiny_template)


@pytest.mark.parametrize(
    ("prompt_tokens", "answer_tokens", "seconds"),
    [(0, 0, 6), (1000, 0, 7), (1001, 0, 8), (0, 50, 7), (0, 4096, 88), (1000, 50, 8)],
)
def test_the_estimate_counts_start_prompt_answer_and_margin(
    prompt_tokens: int, answer_tokens: int, seconds: int
) -> None:
    speed = Speed(cold_start_seconds=4, prompt_tokens_per_second=1000, answer_tokens_per_second=50)
    assert speed.estimate_seconds(prompt_tokens, answer_tokens) == seconds


def test_speed_moves_halfway_to_what_was_measured() -> None:
    numbers = done(prompt_tokens=300, reused_tokens=100, prefill_seconds=0.5, completion_tokens=100, decode_seconds=1.0)
    assert Speed(8, 2000, 30).learned(numbers, start_seconds=4) == Speed(6, 1200, 65)


def test_speed_learns_nothing_from_a_warm_start_and_short_texts() -> None:
    numbers = done(prompt_tokens=63, prefill_seconds=1.0, completion_tokens=15, decode_seconds=9.0)
    assert Speed().learned(numbers, start_seconds=0.01) == Speed()


def test_an_estimate_stays_within_the_most_seconds(
    tiny_model: NanoChatForCausalLM, tiny_template: ChatTemplate
) -> None:
    engine = ZeroGPUEngine(GPULender(), tiny_model, tiny_template, most_seconds=15)
    assert engine.estimate_seconds(QUESTION, SamplingSettings(max_tokens=1)) == 11
    assert engine.estimate_seconds(QUESTION, SamplingSettings(max_tokens=4096)) == 15


def test_an_estimate_counts_no_more_tokens_than_the_context_has_room_for(engine: ZeroGPUEngine) -> None:
    most = SamplingSettings(max_tokens=engine.context)
    assert engine.estimate_seconds(QUESTION, most) == engine.estimate_seconds(
        QUESTION, SamplingSettings(max_tokens=4096)
    )


def test_a_prompt_that_cannot_fit_is_refused_before_anything_runs(engine: ZeroGPUEngine) -> None:
    conversation = Conversation.from_messages([{"role": "user", "content": "word " * 500}])
    with pytest.raises(ContextFullError):
        next(engine.stream(conversation, GREEDY))


def test_the_sending_time_is_the_moment_of_pickling() -> None:
    before = SendingTime()
    time.sleep(0.02)
    made = time.monotonic()
    assert made <= pickle.loads(pickle.dumps(before)) <= time.monotonic()


def test_events_and_settings_cross_between_processes_unchanged() -> None:
    token = Token(7, "é", -0.5, (Candidate(7, "é", -0.5),), forced=False)
    for value in (token, GPUWait(9, 0.1), GPUUsed(9, 3.5, 1.0), done(), QUESTION, GREEDY):
        assert pickle.loads(pickle.dumps(value)) == value


def test_without_zerogpu_it_answers_like_the_local_engine(
    engine: ZeroGPUEngine, tiny_model: NanoChatForCausalLM, tiny_template: ChatTemplate
) -> None:
    *_, expected = LocalEngine(tiny_model, tiny_template, EngineLimits(slots=1)).stream(QUESTION, GREEDY)
    first, *_, used, last = engine.stream(QUESTION, GREEDY)
    assert first == GPUWait(engine.estimate_seconds(QUESTION, GREEDY), 0.0)
    assert isinstance(used, GPUUsed)
    assert isinstance(last, Done)
    assert isinstance(expected, Done)
    assert last.message == expected.message


class Lent(GPULender):
    """Plays the events of one answer as a worker sends them, and knows when it has the GPU no more."""

    def __init__(self, *events: object) -> None:
        super().__init__()
        self.ended = self.stopped = False

        def run(*_: object) -> Iterator[object]:
            try:
                yield from events
            except GeneratorExit:
                self.stopped = True
                raise
            self.ended = True

        self.run = run


def test_done_comes_when_the_gpu_is_handed_back_so_that_no_stop_comes_late(
    tiny_model: NanoChatForCausalLM, tiny_template: ChatTemplate
) -> None:
    """A stop that comes late ends the answer of the next visitor on the same worker."""
    lender = Lent(Token(7, "Paris", -0.5, (), forced=False), GPUUsed(9, 3.5, 1.0), done())
    answer = ZeroGPUEngine(lender, tiny_model, tiny_template).stream(QUESTION, GREEDY)
    assert any(isinstance(event, Done) for event in answer)
    assert lender.ended
    answer.close()
    assert not lender.stopped


def test_an_answer_without_an_end_is_an_error_after_what_came(
    tiny_model: NanoChatForCausalLM, tiny_template: ChatTemplate
) -> None:
    word = Token(7, "Par", -0.5, (), forced=False)
    answer = ZeroGPUEngine(Lent(word), tiny_model, tiny_template).stream(QUESTION, GREEDY)
    assert next(event for event in answer if not isinstance(event, GPUWait)) is word
    with pytest.raises(GPULostError, match="before the answer was complete"):
        list(answer)


def test_one_session_has_no_more_answers_at_once_than_allowed(engine: ZeroGPUEngine) -> None:
    running = [engine.stream(QUESTION, GREEDY, session="one") for _ in range(2)]
    for answer in running:
        next(answer)
    with pytest.raises(BusyError, match="At most 2"):
        next(engine.stream(QUESTION, GREEDY, session="one"))
    next(engine.stream(QUESTION, GREEDY, session="another"))
    running[0].close()
    next(engine.stream(QUESTION, GREEDY, session="one"))


def test_all_places_taken_is_said_before_a_gpu_is_asked_for(
    tiny_model: NanoChatForCausalLM, tiny_template: ChatTemplate
) -> None:
    engine = ZeroGPUEngine(GPULender(), tiny_model, tiny_template, EngineLimits(slots=1, queue=1))
    running = [engine.stream(QUESTION, GREEDY) for _ in range(2)]
    for answer in running:
        next(answer)
    with pytest.raises(BusyError, match="All 2 places"):
        next(engine.stream(QUESTION, GREEDY))


def test_a_lender_without_a_model_lends_without_effect() -> None:
    assert list(GPULender().run(None, 0.0)) == []
